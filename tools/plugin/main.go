// Command pulumi-resource-openstack is the Terraform provider for OpenStack behind Pulumi's own bridge.
//
// Both are the upstream modules. Only the table of names (tokens.json) is ours: it gives every resource and data
// source the name that the Python SDK pulumi_openstack knows it by.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge"
)

// Set by the linker: the version of the Python SDK whose classes this plugin serves.
var version = "0.0.0"

// Longest name that the OpenStack services take.
const longestName = 255

func main() {
	if len(os.Args) == 2 && os.Args[1] == "-tokens" {
		exitOn(json.NewEncoder(os.Stdout).Encode(describe(provider())))
		return
	}
	if len(os.Args) == 2 && os.Args[1] == "-terraform" {
		exitOn(json.NewEncoder(os.Stdout).Encode(describeTerraform()))
		return
	}
	schema, err := json.Marshal(map[string]string{"name": "openstack", "version": version})
	exitOn(err)
	tfbridge.Main("openstack", version, provider(), schema)
}

func exitOn(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "pulumi-resource-openstack:", err)
		os.Exit(1)
	}
}
