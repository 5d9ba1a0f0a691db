//go:build tools

// Package programs names what is built from the modules pinned in go.mod.
package programs

import (
	_ "github.com/OffchainLabs/prysm/v7/cmd/beacon-chain"
	_ "github.com/OffchainLabs/prysm/v7/cmd/prysmctl"
	_ "github.com/OffchainLabs/prysm/v7/cmd/validator"
)
