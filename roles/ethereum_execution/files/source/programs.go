//go:build tools

// Package programs names what is built from the modules pinned in go.mod.
package programs

import _ "github.com/ethereum/go-ethereum/cmd/geth"
