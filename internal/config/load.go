package config

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-viper/mapstructure/v2"
	"github.com/knadh/koanf/parsers/toml/v2"
	"github.com/knadh/koanf/v2"
	gotoml "github.com/pelletier/go-toml/v2"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/nearest"
)

// Sources are where settings come from.
type Sources struct {
	File   string                           // "" for none
	Getenv func(name string) (string, bool) // os.LookupEnv
	// Environ are all variables, as NAME=value. An unknown EXEUNT_ variable is
	// refused, since whoever set it expects an effect.
	Environ []string
	Flags   map[string]string // by setting name, as "policy.kept.idle"
}

// Load reads and validates the configuration.
func Load(s Sources) (Config, error) {
	k := koanf.New(".")
	if s.File != "" {
		if err := loadFile(k, s.File); err != nil {
			return Config{}, err
		}
	}
	if err := checkEnviron(s.Environ); err != nil {
		return Config{}, err
	}
	if err := setFromEnv(k, s.Getenv); err != nil {
		return Config{}, err
	}
	for name, value := range s.Flags {
		if !slices.Contains(Names(), name) {
			return Config{}, fmt.Errorf("unknown setting %q: %s", name, meant(name, Names(), strings.Join(Names(), ", ")))
		}
		if name == "master_key" || name == "database" || name == "smtp.password" {
			return Config{}, fmt.Errorf("%s may not be a flag, since everybody on this machine can read the flags of a "+
				"running program: put it in a file and name that in %s_FILE", name, EnvName(name))
		}
		if err := k.Set(name, value); err != nil {
			return Config{}, err
		}
	}
	c := Default()
	c.Policy = policyOf(exeunt.Preset(k.String("policy.preset")).Policy())
	err := k.UnmarshalWithConf("", &c, koanf.UnmarshalConf{DecoderConfig: &mapstructure.DecoderConfig{
		Result: &c, ErrorUnused: true, WeaklyTypedInput: true, TagName: "koanf",
		DecodeHook: mapstructure.ComposeDecodeHookFunc(durationHook, mapstructure.StringToSliceHookFunc(",")),
	}})
	if err != nil {
		return Config{}, fmt.Errorf("configuration: %s", oneLine(err))
	}
	if err := c.readSecrets(); err != nil {
		return Config{}, err
	}
	return c, c.Validate()
}

// loadFile reads a configuration file. Its errors name the file, the line and the key.
func loadFile(k *koanf.Koanf, path string) error {
	text, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("there is no configuration file %s", path)
	case err != nil:
		return fmt.Errorf("configuration file: %w", err)
	}
	err = k.Load(rawbytes(text), toml.Parser())
	var wrong *gotoml.DecodeError
	if errors.As(err, &wrong) {
		line, column := wrong.Position()
		at := ""
		if key := strings.Join(wrong.Key(), "."); key != "" {
			at = ", at " + key
		}
		return fmt.Errorf("%s:%d:%d%s: %s", path, line, column, at, strings.TrimPrefix(wrong.Error(), "toml: "))
	}
	if err != nil {
		return fmt.Errorf("configuration file %s: %w", path, err)
	}
	for _, key := range k.Keys() {
		if !slices.Contains(Names(), key) && !slices.Contains(tables, key) {
			all := append(Names(), tables...)
			return fmt.Errorf("%s:%d: unknown setting %q: %s", path, lineOf(string(text), key), key,
				meant(key, all, strings.Join(all, ", ")))
		}
	}
	return errors.Join(checkTables(k, "clients", "a client", reflect.TypeFor[Client](), path, string(text)),
		checkTables(k, "sites", "a site", reflect.TypeFor[Site](), path, string(text)),
		checkTables(k, "connectors", "a connector", reflect.TypeFor[Connector](), path, string(text)),
		checkTables(k, "webhooks", "a webhook", reflect.TypeFor[Webhook](), path, string(text)),
		checkTables(k, "policy.groups", "a group's policy", reflect.TypeFor[GroupPolicy](), path, string(text)))
}

// meant asks whether the nearest name was meant; if none is near, it says which are valid.
func meant(word string, names []string, valid string) string {
	if near := nearest.To(word, names); near != "" {
		return "did you mean " + near + "?"
	}
	return "use one of " + valid
}

// tables are the settings that are lists of tables.
var tables = []string{"clients", "sites", "connectors", "webhooks", "policy.groups"}

// checkTables refuses unknown keys of a list of tables.
func checkTables(k *koanf.Koanf, name, what string, of reflect.Type, path, text string) error {
	valid := keysOf(of)
	list, _ := k.Get(name).([]any) // anything else is refused when it is decoded
	for _, one := range list {
		table, _ := one.(map[string]any)
		for _, key := range slices.Sorted(maps.Keys(table)) {
			if !slices.Contains(valid, key) {
				return fmt.Errorf("%s:%d: unknown setting %q of %s: %s", path, lineOf(text, name+"."+key), key, what,
					meant(key, valid, strings.Join(valid, ", ")))
			}
		}
	}
	return nil
}

// keysOf lists the settings of a table.
func keysOf(table reflect.Type) (out []string) {
	for f := range table.Fields() {
		out = append(out, f.Tag.Get("koanf"))
	}
	return out
}

// rawbytes is a koanf provider of text that has been read already.
type rawbytes []byte

func (b rawbytes) ReadBytes() ([]byte, error) { return b, nil }
func (rawbytes) Read() (map[string]any, error) {
	return nil, errors.New("a configuration file is text")
}

// lineOf finds the line on which a key, or the inline table it stands in, is set.
func lineOf(text, key string) int {
	table := ""
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			table = strings.Trim(line, "[] ")
			continue
		}
		name, _, set := strings.Cut(line, "=")
		full := strings.TrimPrefix(table+"."+strings.Trim(strings.TrimSpace(name), `"`), ".")
		if set && (full == key || strings.HasPrefix(key, full+".")) {
			return i + 1
		}
	}
	return 1
}

// oneLine takes the heading and the line breaks out of mapstructure's errors.
func oneLine(err error) string {
	var out []string
	for _, line := range strings.Split(err.Error(), "\n") {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "decoding failed") {
			out = append(out, line)
		}
	}
	return strings.Join(out, "; ")
}

// checkEnviron refuses unknown EXEUNT_ variables, except those that Kubernetes sets
// for a service called exeunt, and those of our tests.
func checkEnviron(environ []string) error {
	names := []string{"EXEUNT_CONFIG", "EXEUNT_BIN", "EXEUNT_E2E_NODE", "EXEUNT_SCREENSHOT"}
	for _, name := range Names() {
		names = append(names, EnvName(name), EnvName(name)+"_FILE")
	}
	for _, variable := range environ {
		name, _, _ := strings.Cut(variable, "=")
		if !strings.HasPrefix(name, "EXEUNT_") || slices.Contains(names, name) || notOurs.MatchString(name) {
			continue
		}
		valid := make([]string, 0, len(names))
		for _, n := range Names() {
			valid = append(valid, EnvName(n))
		}
		return fmt.Errorf("unknown variable %s: %s", name,
			meant(name, names, strings.Join(valid, ", ")+", or the same with _FILE"))
	}
	return nil
}

var notOurs = regexp.MustCompile(`^EXEUNT_(TEST_.*|SERVICE_(HOST|PORT)(_.*)?|PORT(_\d+_(TCP|UDP).*)?)$`)

// Names lists the settings that a variable or a flag can set: all except those that
// are lists of tables.
func Names() []string {
	var out []string
	var walk func(t reflect.Type, prefix string)
	walk = func(t reflect.Type, prefix string) {
		for f := range t.Fields() {
			name := f.Tag.Get("koanf")
			switch {
			case name == "-" || f.Type.Kind() == reflect.Slice && f.Type.Elem().Kind() == reflect.Struct:
			case f.Type.Kind() == reflect.Struct:
				walk(f.Type, prefix+name+".")
			default:
				out = append(out, prefix+name)
			}
		}
	}
	walk(reflect.TypeFor[Config](), "")
	return out
}

// EnvName returns the variable of a setting.
func EnvName(setting string) string {
	return "EXEUNT_" + strings.ToUpper(strings.ReplaceAll(setting, ".", "_"))
}

// setFromEnv reads EXEUNT_X, or the file that EXEUNT_X_FILE names, so that secrets
// do not show in process listings.
func setFromEnv(k *koanf.Koanf, lookup func(string) (string, bool)) error {
	for _, name := range Names() {
		value, ok := lookup(EnvName(name))
		path, inFile := lookup(EnvName(name) + "_FILE")
		switch {
		case ok && inFile:
			return fmt.Errorf("%s and %s_FILE are both set; set one", EnvName(name), EnvName(name))
		case inFile:
			b, err := os.ReadFile(path)
			if err != nil {
				return fmt.Errorf("%s_FILE: %w", EnvName(name), err)
			}
			value, ok = strings.TrimSpace(string(b)), true
		}
		if ok {
			if err := k.Set(name, value); err != nil {
				return err
			}
		}
	}
	return nil
}

// durationHook reads times as people write them: 90s, 15m, 4h, 30d.
func durationHook(from, to reflect.Type, data any) (any, error) {
	if to != reflect.TypeFor[time.Duration]() {
		return data, nil
	}
	text, ok := data.(string)
	if !ok {
		return nil, fmt.Errorf("invalid duration %v: use a number and s, m, h or d in quotes", data)
	}
	if days, isDays := strings.CutSuffix(text, "d"); isDays {
		n, err := strconv.ParseFloat(days, 64)
		if err != nil || n < 0 || n > 36500 {
			return nil, invalidDuration(text)
		}
		return time.Duration(n * float64(24*time.Hour)), nil
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return nil, invalidDuration(text)
	}
	return d, nil
}

func invalidDuration(text string) error {
	return fmt.Errorf("invalid duration %q: use a number and s, m, h or d", text)
}
