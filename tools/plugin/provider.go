package main

import (
	_ "embed"
	"encoding/json"

	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge"
	shim "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfshim"
	shimv2 "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfshim/sdk-v2"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
	"github.com/terraform-provider-openstack/terraform-provider-openstack/v3/openstack"
)

//go:embed tokens.json
var table []byte

// name says what the Python SDK calls one thing of the Terraform provider.
type name struct {
	Terraform string `json:"terraform"`
	Token     string `json:"token"`
	// An older name that the SDK still has a class for.
	Legacy string `json:"legacy,omitempty"`
	// Names of fields that do not follow from the bridge's rule (Terraform field -> Pulumi property).
	Fields map[string]string `json:"fields,omitempty"`
}

type names struct {
	Resources []name `json:"resources"`
	Functions []name `json:"functions"`
}

func fields(n name) map[string]*tfbridge.SchemaInfo {
	found := map[string]*tfbridge.SchemaInfo{}
	for field, property := range n.Fields {
		found[field] = &tfbridge.SchemaInfo{Name: property}
	}
	return found
}

// provider returns the bridged provider with every name of tokens.json.
func provider() tfbridge.ProviderInfo {
	var all names
	exitOn(json.Unmarshal(table, &all))
	info := tfbridge.ProviderInfo{
		P:           shimv2.NewProvider(openstack.Provider()),
		Name:        "openstack",
		Version:     version,
		Resources:   map[string]*tfbridge.ResourceInfo{},
		DataSources: map[string]*tfbridge.DataSourceInfo{},
	}
	for _, n := range all.Resources {
		resource := &tfbridge.ResourceInfo{Tok: tokens.Type(n.Token), Fields: fields(n)}
		if n.Legacy == "" {
			info.Resources[n.Terraform] = resource
			continue
		}
		old, current := tokens.Type(n.Legacy), tokens.Type(n.Token)
		info.RenameResourceWithAlias(n.Terraform, old, current, module(old), module(current), resource)
	}
	for _, n := range all.Functions {
		function := &tfbridge.DataSourceInfo{Tok: tokens.ModuleMember(n.Token), Fields: fields(n)}
		if n.Legacy == "" {
			info.DataSources[n.Terraform] = function
			continue
		}
		old, current := tokens.ModuleMember(n.Legacy), tokens.ModuleMember(n.Token)
		info.RenameDataSource(n.Terraform, old, current, module(old), module(current), function)
	}
	info.IgnoreMappings = unnamed(info)
	// Pulumi's rule for names that a program leaves out: the resource's own name and seven random characters.
	info.SetAutonaming(longestName, "-")
	return info
}

// module gives "networking" of "openstack:networking/port:Port".
func module[T ~string](token T) string {
	return string(tokens.ModuleMember(token).Module().Name())
}

// unnamed lists what the SDK has no class for: the bridge wants that said.
func unnamed(info tfbridge.ProviderInfo) []string {
	var found []string
	info.P.ResourcesMap().Range(func(key string, _ shim.Resource) bool {
		if _, ok := info.Resources[key]; !ok {
			found = append(found, key)
		}
		return true
	})
	info.P.DataSourcesMap().Range(func(key string, _ shim.Resource) bool {
		if _, ok := info.DataSources[key]; !ok {
			found = append(found, key)
		}
		return true
	})
	return found
}
