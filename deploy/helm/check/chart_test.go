package check

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/lint"
	"helm.sh/helm/v3/pkg/lint/support"
	"sigs.k8s.io/yaml"
)

const chart = "../exeunt"

func values(t *testing.T) chartutil.Values {
	t.Helper()
	v, err := chartutil.ReadValuesFile(filepath.Join(chart, "ci", "test-values.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func render(v chartutil.Values) (map[string]string, error) {
	c, err := loader.Load(chart)
	if err != nil {
		return nil, err
	}
	all, err := chartutil.ToRenderValues(c, v, chartutil.ReleaseOptions{Name: "id", Namespace: "auth", IsInstall: true}, nil)
	if err != nil {
		return nil, err
	}
	return engine.Render(c, all)
}

func TestLint(t *testing.T) {
	for _, m := range lint.All(chart, values(t), "auth", true).Messages {
		if m.Severity >= support.WarningSev {
			t.Error(m)
		}
	}
}

// What is rendered are the objects of Kubernetes that are meant, and what must be set is asked for.
func TestRendered(t *testing.T) {
	files, err := render(values(t))
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for name, text := range files {
		if strings.HasSuffix(name, ".txt") {
			continue
		}
		for _, document := range strings.Split("\n"+text, "\n---\n") {
			if strings.TrimSpace(document) == "" {
				continue
			}
			var object struct {
				Kind     string            `json:"kind"`
				Data     map[string]string `json:"data"`
				Metadata struct {
					Name string `json:"name"`
				} `json:"metadata"`
			}
			if err := yaml.Unmarshal([]byte(document), &object); err != nil {
				t.Errorf("%s: %v\n%s", name, err, document)
			}
			if object.Metadata.Name != "id" && object.Metadata.Name != "id-nodes" {
				t.Errorf("%s has a %s of the name %q", name, object.Kind, object.Metadata.Name)
			}
			kinds = append(kinds, object.Kind)
			if object.Kind == "ConfigMap" {
				file := object.Data["exeunt.toml"]
				for _, line := range []string{`url = "https://id.example.com"`, `trusted_proxies = ["10.0.0.0/8"]`, "[[sites]]"} {
					if !strings.Contains("\n"+file, "\n"+line+"\n") {
						t.Errorf("the configuration lacks %s:\n%s", line, file)
					}
				}
			}
		}
	}
	slices.Sort(kinds)
	if want := []string{"ConfigMap", "Ingress", "PodDisruptionBudget", "Service", "Service", "StatefulSet"}; !slices.Equal(kinds, want) {
		t.Errorf("there are %v, want %v", kinds, want)
	}
	for _, missing := range []string{"url", "trustedProxies", "existingSecret", "image"} {
		v := values(t)
		delete(v, missing)
		if _, err := render(v); err == nil || !strings.Contains(err.Error(), "is not set") {
			t.Errorf("without %s: %v", missing, err)
		}
	}
	if _, err := os.Stat(filepath.Join(chart, "templates", "NOTES.txt")); err != nil {
		t.Error(err)
	}
}
