package config

import (
	"embed"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/invopop/jsonschema"
)

// sources are where the comments are that explain every knob; the schema shows
// them in the operator's editor.
//
//go:embed actions.go async.go balancing.go coldstart.go collapse.go config.go discovery.go geography.go hedging.go lastresort.go mirror.go peers.go regions.go resilience.go retries.go routes.go scalers.go sources.go tenants.go timeouts.go tracing.go upstream.go whilecold.go
var sources embed.FS

// Schema returns the JSON Schema of the configuration's language, made from
// the structs. It is for editors and machines: it knows every key and every
// form, but not what has to fit together; Parse does.
func Schema() ([]byte, error) {
	comments, err := comments()
	if err != nil {
		return nil, fmt.Errorf("cannot read our own comments: %w", err)
	}
	schema := reflector(comments, mapped).Reflect(&Config{})
	schema.Title = "weir"
	schema.Definitions["Endpoint"] = endpointSchema(comments)
	schema.Definitions["RateLimit"] = own(reflector(comments, mapped).Reflect(&RateLimit{}))
	annotate(schema, reflect.TypeFor[Config]())
	out, err := json.MarshalIndent(schema, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("cannot write the schema: %w", err)
	}
	return append(out, '\n'), nil
}

func reflector(comments map[string]string, mapper func(reflect.Type) *jsonschema.Schema) *jsonschema.Reflector {
	return &jsonschema.Reflector{
		Anonymous:                  true,
		ExpandedStruct:             true,
		FieldNameTag:               "yaml",
		RequiredFromJSONSchemaTags: true, // annotate knows better
		Mapper:                     mapper,
		LookupComment: func(t reflect.Type, field string) string {
			return comments[strings.TrimSuffix(t.Name()+"."+field, ".")]
		},
	}
}

// mapped are the types that YAML writes otherwise than Go. Every value may also
// be a ${VARIABLE}, which has to be allowed where not every text is.
func mapped(t reflect.Type) *jsonschema.Schema {
	variable := &jsonschema.Schema{Type: "string", Pattern: `\$\{`}
	switch t {
	case reflect.TypeFor[time.Duration]():
		return anyOf(
			&jsonschema.Schema{Type: "string", Pattern: `^(0|([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h))+$`},
			&jsonschema.Schema{Type: "integer", Enum: []any{0}}, variable)
	case reflect.TypeFor[Size]():
		return anyOf(
			&jsonschema.Schema{Type: "integer", Minimum: "0"},
			&jsonschema.Schema{Type: "string", Pattern: `^[0-9]+([KMG]iB|kB|MB|GB)?$`}, variable)
	case reflect.TypeFor[int]():
		return anyOf(&jsonschema.Schema{Type: "integer", Minimum: "0"}, variable)
	case reflect.TypeFor[Degrees]():
		return anyOf(&jsonschema.Schema{Type: "number", Minimum: "-180", Maximum: "180"}, variable)
	case reflect.TypeFor[float64]():
		return anyOf(&jsonschema.Schema{Type: "number", Minimum: "0"}, variable)
	case reflect.TypeFor[bool]():
		return anyOf(&jsonschema.Schema{Type: "boolean"}, variable)
	case reflect.TypeFor[netip.Prefix]():
		return &jsonschema.Schema{Type: "string", Examples: []any{"10.0.0.0/8", "192.0.2.1", "fd00::/8"}}
	case reflect.TypeFor[Patterns]():
		return anyOf(&jsonschema.Schema{Type: "string"}, &jsonschema.Schema{Type: "array", Items: &jsonschema.Schema{Type: "string"}})
	case reflect.TypeFor[Endpoint]():
		return &jsonschema.Schema{Ref: "#/$defs/Endpoint"}
	case reflect.TypeFor[RateLimits]():
		one := &jsonschema.Schema{Ref: "#/$defs/RateLimit"}
		return anyOf(one, &jsonschema.Schema{Type: "array", Items: one})
	}
	return nil
}

func anyOf(forms ...*jsonschema.Schema) *jsonschema.Schema {
	return &jsonschema.Schema{AnyOf: forms}
}

// endpointSchema is an address or the whole struct.
func endpointSchema(comments map[string]string) *jsonschema.Schema {
	short := &jsonschema.Schema{
		Type:     "string",
		Pattern:  `^(unix:/|https?://|[^/]+:[0-9]+$)|\$\{`,
		Examples: []any{"127.0.0.1:9001", "https://api.internal:443", "unix:/run/app.sock"},
	}
	long := reflector(comments, func(t reflect.Type) *jsonschema.Schema {
		if t == reflect.TypeFor[Endpoint]() {
			return nil // or it would refer to itself
		}
		return mapped(t)
	}).Reflect(&Endpoint{})
	own(long)
	describe(long, reflect.TypeFor[Endpoint]())
	out := &jsonschema.Schema{OneOf: []*jsonschema.Schema{short, long}, Description: long.Description}
	long.Description = ""
	return out
}

// own makes a schema one of the definitions of another.
func own(schema *jsonschema.Schema) *jsonschema.Schema {
	schema.Version, schema.Definitions = "", nil
	return schema
}

// annotate adds what our tags say to the schemas of all structs.
func annotate(schema *jsonschema.Schema, t reflect.Type) {
	describe(schema, t)
	seen := map[reflect.Type]bool{t: true}
	var visit func(t reflect.Type)
	visit = func(t reflect.Type) {
		switch t.Kind() {
		case reflect.Map, reflect.Slice, reflect.Pointer:
			visit(t.Elem())
		case reflect.Struct:
			def := schema.Definitions[t.Name()]
			if def != nil && !seen[t] && def.Properties != nil {
				describe(def, t)
			}
			seen[t] = true
			for i := range t.NumField() {
				if f := t.Field(i); f.IsExported() && !seen[f.Type] && !isText(f.Type) {
					visit(f.Type)
				}
			}
		}
	}
	visit(t)
}

// describe adds defaults, enums and required keys to the schema of one struct.
func describe(schema *jsonschema.Schema, t reflect.Type) {
	for i, key := range keysOf(t) {
		property, ok := schema.Properties.Get(key)
		if !ok {
			continue
		}
		f := t.Field(i)
		if preset, ok := f.Tag.Lookup("default"); ok {
			property.Default = preset
			if n, err := strconv.Atoi(preset); err == nil {
				property.Default = n
			} else if f.Type.Kind() == reflect.Bool {
				property.Default = preset == "true"
			}
		}
		if enum := f.Tag.Get("enum"); enum != "" {
			for word := range strings.SplitSeq(enum, ",") {
				property.Enum = append(property.Enum, word)
			}
		}
		if f.Type == reflect.TypeFor[map[string]string]() {
			property.AdditionalProperties = scalars()
		}
		if f.Type == reflect.TypeFor[[]string]() && (key == "command" || key == "retry_on") {
			property.Items = scalars()
		}
		if required(t, key) {
			schema.Required = append(schema.Required, key)
		}
	}
}

// scalars are free texts: 8080 and true are taken as they are written.
func scalars() *jsonschema.Schema {
	return anyOf(&jsonschema.Schema{Type: "string"}, &jsonschema.Schema{Type: "number"}, &jsonschema.Schema{Type: "boolean"})
}

// required repeats what check says is missing.
func required(t reflect.Type, key string) bool {
	return slices.Contains([]string{
		"Config.listeners", "Listener.address", "Endpoint.address",
		"Process.command", "Docker.image", "Docker.port", "Scaler.type", "PreStopCheck.path",
		"Schedule.cron", "Schedule.duration", "Condition.name", "Share.function", "RateLimit.requests",
	}, t.Name()+"."+key)
}

// comments returns those of all structs and fields, by Type and Type.Field,
// each on one line.
func comments() (map[string]string, error) {
	out := map[string]string{}
	files, err := sources.ReadDir(".")
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		file, err := sources.ReadFile(f.Name())
		if err != nil {
			return nil, err
		}
		if err := commentsOf(file, out); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func commentsOf(file []byte, out map[string]string) error {
	parsed, err := parser.ParseFile(token.NewFileSet(), "", file, parser.ParseComments)
	if err != nil {
		return err
	}
	oneLine := func(c *ast.CommentGroup) string { return strings.Join(strings.Fields(c.Text()), " ") }
	for _, decl := range parsed.Decls {
		general, ok := decl.(*ast.GenDecl)
		if !ok || len(general.Specs) != 1 {
			continue
		}
		spec, _ := general.Specs[0].(*ast.TypeSpec)
		if spec == nil {
			continue
		}
		out[spec.Name.Name] = oneLine(general.Doc)
		structure, _ := spec.Type.(*ast.StructType)
		if structure == nil {
			continue
		}
		for _, field := range structure.Fields.List {
			for _, name := range field.Names {
				out[spec.Name.Name+"."+name.Name] = oneLine(field.Doc)
			}
		}
	}
	return nil
}
