package main

import (
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge"
	shim "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfshim"
	shimv2 "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfshim/sdk-v2"
	"github.com/terraform-provider-openstack/terraform-provider-openstack/v3/openstack"
)

// property is one property as a Pulumi program sees it.
type property struct {
	Type       string               `json:"type"`
	Input      bool                 `json:"input"`
	Properties map[string]*property `json:"properties,omitempty"`
	// The field's name on the other side.
	Terraform string `json:"terraform"`
}

type thing struct {
	Terraform  string               `json:"terraform"`
	Properties map[string]*property `json:"properties"`
}

type description struct {
	Version   string            `json:"version"`
	Resources map[string]*thing `json:"resources"`
	Functions map[string]*thing `json:"functions"`
	Provider  map[string]*thing `json:"provider"`
}

// describe tells what the plugin serves: every token with its properties, named by the bridge itself.
func describe(info tfbridge.ProviderInfo) description {
	settings := &thing{"provider", properties(info.P.Schema(), info.Config)}
	d := description{version, map[string]*thing{}, map[string]*thing{}, map[string]*thing{"pulumi:providers:openstack": settings}}
	for key, resource := range info.Resources {
		d.Resources[string(resource.Tok)] = &thing{key, properties(info.P.ResourcesMap().Get(key).Schema(), resource.Fields)}
	}
	for key, function := range info.DataSources {
		d.Functions[string(function.Tok)] = &thing{key, properties(info.P.DataSourcesMap().Get(key).Schema(), function.Fields)}
	}
	return d
}

// describeTerraform tells what the Terraform provider has, by its own names. tokens.py makes the table from it.
func describeTerraform() description {
	p := shimv2.NewProvider(openstack.Provider())
	d := description{version, map[string]*thing{}, map[string]*thing{}, nil}
	p.ResourcesMap().Range(func(key string, resource shim.Resource) bool {
		d.Resources[key] = &thing{key, properties(resource.Schema(), nil)}
		return true
	})
	p.DataSourcesMap().Range(func(key string, function shim.Resource) bool {
		d.Functions[key] = &thing{key, properties(function.Schema(), nil)}
		return true
	})
	return d
}

func properties(schemas shim.SchemaMap, fields map[string]*tfbridge.SchemaInfo) map[string]*property {
	found := map[string]*property{}
	schemas.Range(func(key string, schema shim.Schema) bool {
		// A field that upstream has withdrawn only raises an error.
		if schema.Removed() != "" {
			return true
		}
		kind, nested := typeOf(schema, fields[key])
		found[tfbridge.TerraformToPulumiNameV2(key, schemas, fields)] = &property{
			Type: kind, Input: schema.Optional() || schema.Required(), Properties: nested, Terraform: key,
		}
		return true
	})
	return found
}

func typeOf(schema shim.Schema, info *tfbridge.SchemaInfo) (string, map[string]*property) {
	var below map[string]*tfbridge.SchemaInfo
	if info != nil && info.Elem != nil {
		below = info.Elem.Fields
	}
	element, nested := "str", map[string]*property(nil)
	switch elem := schema.Elem().(type) {
	case shim.Resource:
		element, nested = "object", properties(elem.Schema(), below)
	case shim.Schema:
		element, nested = typeOf(elem, nil)
	}
	switch schema.Type() {
	case shim.TypeBool:
		return "bool", nil
	case shim.TypeInt:
		return "int", nil
	case shim.TypeFloat:
		return "float", nil
	case shim.TypeString:
		return "str", nil
	case shim.TypeList, shim.TypeSet:
		if tfbridge.IsMaxItemsOne(schema, info) {
			return element, nested
		}
		return "list[" + element + "]", nested
	case shim.TypeMap:
		return "dict[" + element + "]", nested
	default:
		return "any", nested
	}
}
