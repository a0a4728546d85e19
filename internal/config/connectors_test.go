package config

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/exeunt/exeunt"
)

// loadConnector loads a configuration with a connector of the client chirp.
func loadConnector(t *testing.T, settings string) (Config, error) {
	t.Helper()
	return loadClient(t, `auth = "none"
[[connectors]]
client = "chirp"
`+settings)
}

const connectorSteps = `
[[connectors.steps]]
url = "https://chirp.example/users"
list = "/users"
where = "/name"
equals = "{handle}"
find = "/id"
[[connectors.steps]]
method = "DELETE"
url = "https://chirp.example/users/{found}/sessions"
headers = ["X-A: a, b"]
body = '{"why": "signed out"}'
success = [204, 404]
`

// What the file says of a connector is what an app gets, and its secret is in none of it.
func TestConnectors(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("the secret of chirp\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := loadConnector(t, `on = "session"
secret_file = "`+file+`"
headers = ["X-Key: {secret}"]`+connectorSteps)
	if err != nil {
		t.Fatal(err)
	}
	want := exeunt.Connector{Client: "chirp", OnSession: true, Headers: []string{"X-Key: {secret}"}, Steps: []exeunt.Step{
		{URL: "https://chirp.example/users", List: "/users", Where: "/name", Equals: "{handle}", Find: "/id"},
		{Method: "DELETE", URL: "https://chirp.example/users/{found}/sessions", Headers: []string{"X-A: a, b"},
			Body: `{"why": "signed out"}`, Success: []int{204, 404}},
	}}
	if got := c.Connectors[0].App(); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	if c.Connectors[0].Secret != "the secret of chirp" {
		t.Errorf("the secret is %q", string(c.Connectors[0].Secret))
	}
	for _, format := range []string{"%v", "%+v", "%#v"} {
		if strings.Contains(fmt.Sprintf(format, c), "the secret") || strings.Contains(fmt.Sprintf(format, c.RegisteredClients()), "the secret") {
			t.Errorf("%s prints the secret", format)
		}
	}
}

func TestInvalidConnectors(t *testing.T) {
	const key = `headers = ["X-Key: {secret}"]` + "\n"
	for settings, want := range map[string]string{
		`on = "always"` + connectorSteps:                                           `invalid on "always": use account or session`,
		key + connectorSteps:                                                       "has {secret} but no secret",
		`secret = "hidden-away"` + connectorSteps:                                  "its secret is used nowhere",
		key + `secret = "hidden\naway"` + connectorSteps:                           "several lines",
		key + `secret = "hidden-away"` + "\nsecret_file = \"/x\"" + connectorSteps: "both set; set one",
		key + `secret_file = "/nowhere/at/all"` + connectorSteps:                   "secret_file: open /nowhere/at/all",
		"":                            "has 0 steps: use 1 to 5",
		"steps = 1":                   "steps",
		"handle = 1" + connectorSteps: `unknown setting "handle" of a connector: use one of client, on,`,
		connectorSteps + "\nurls = 1": "urls",
		strings.Replace(connectorSteps, "{handle}", "{name}", 1):                   "step 1: unknown placeholder {name}",
		strings.Replace(connectorSteps, "/{found}/", "/{secret}/", 1):              "step 2: {secret} may stand in headers and the body only",
		connectorSteps + "\n[[connectors]]\nclient = \"chirp\"\n" + connectorSteps: "is configured twice",
	} {
		_, err := loadConnector(t, settings)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hidden") {
			t.Errorf("%s\n%v, want %q", settings, err, want)
		}
	}
	_, err := loadClient(t, "auth = \"none\"\nbackchannel_uri = \"https://chirp.example/out\"\n[[connectors]]\nclient = \"chirp\"\n"+connectorSteps)
	if err == nil || !strings.Contains(err.Error(), "backchannel_uri: remove one of them") {
		t.Error(err)
	}
	// An operator may have registered its client.
	if _, err := loadClient(t, "auth = \"none\"\n[[connectors]]\nclient = \"other\"\n"+connectorSteps); err != nil {
		t.Error(err)
	}
}
