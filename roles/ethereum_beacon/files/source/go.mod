module stakeyard/prysm

go 1.25.1

require github.com/OffchainLabs/prysm/v7 v7.1.2

// As in the go.mod of Prysm itself; replacements count only in the main module.
replace github.com/json-iterator/go => github.com/prestonvanloon/go v1.1.7-0.20190722034630-4f2e55fcf87b
