module stakeyard/ethereum-execution

go 1.25.1

require github.com/ethereum/go-ethereum v1.17.8
