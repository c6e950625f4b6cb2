package check

import (
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"
)

// wsd runs the program from the tree, in the environment of the image.
func wsd(t *testing.T, args ...string) []byte {
	t.Helper()
	cmd := exec.Command("go", append([]string{"run", "./cmd/wsd"}, args...)...)
	cmd.Dir, cmd.Stderr, cmd.Env = "../..", os.Stderr, os.Environ()
	for _, set := range of[*instructions.EnvCommand](stages(t)[1]) {
		for _, pair := range set.Env { // it goes before a configuration file
			cmd.Env = append(cmd.Env, pair.String())
		}
	}
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("wsd %q: %v", args, err)
	}
	return out
}

// settings are what wsd makes of the configuration in the manifests, which it
// has to accept.
func settings(t *testing.T, c *core.ConfigMap) map[string]any {
	t.Helper()
	file := filepath.Join(t.TempDir(), "wsd.yaml")
	if err := os.WriteFile(file, []byte(c.Data["wsd.yaml"]), 0o600); err != nil {
		t.Fatal(err)
	}
	set := map[string]any{}
	if err := yaml.Unmarshal(wsd(t, "serve", "--config="+file, "--print-config"), &set); err != nil {
		t.Fatal(err)
	}
	return set
}

func duration(t *testing.T, set map[string]any, name string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(set[name].(string))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// A pod that is deleted has time to send all its clients away, and one that is
// not ready is no reason to kill it.
func TestPodEndsInTime(t *testing.T) {
	all := objects(t)
	set := settings(t, only[*core.ConfigMap](t, all))
	pod := only[*apps.Deployment](t, all).Spec.Template.Spec
	c := pod.Containers[0]
	pause := time.Duration(c.Lifecycle.PreStop.Sleep.Seconds) * time.Second
	end := pause + duration(t, set, "drain-time") + duration(t, set, "close-timeout") + 12*time.Second // cmd/wsd: stopSlack
	if grace := time.Duration(*pod.TerminationGracePeriodSeconds) * time.Second; grace < end {
		t.Errorf("terminationGracePeriodSeconds is %v, an orderly end takes up to %v", grace, end)
	}
	if p := c.LivenessProbe; p.FailureThreshold*p.PeriodSeconds < 30 {
		t.Error("a busy server is restarted too soon, and all its clients with it")
	}
}

// Probes ask where the admin side answers without a token.
func TestProbes(t *testing.T) {
	all := objects(t)
	set := settings(t, only[*core.ConfigMap](t, all))
	c := only[*apps.Deployment](t, all).Spec.Template.Spec.Containers[0]
	ports := map[string]int32{}
	for _, p := range c.Ports {
		ports[p.Name] = p.ContainerPort
	}
	for address, name := range map[string]string{set["admin"].(string): "admin", set["listen"].([]any)[0].(string): "clients"} {
		if want := ":" + strconv.Itoa(int(ports[name])); address != want {
			t.Errorf("wsd listens on %s, the port %s is %s", address, name, want)
		}
	}
	for path, p := range map[string]*core.Probe{"/healthz": c.LivenessProbe, "/readyz": c.ReadinessProbe} {
		if p.HTTPGet.Path != path || p.HTTPGet.Port.StrVal != "admin" {
			t.Errorf("%s: probes %s on %s", path, p.HTTPGet.Path, p.HTTPGet.Port.StrVal)
		}
	}
	token := set["admin-token-file"].(string)
	if !slices.ContainsFunc(c.VolumeMounts, func(m core.VolumeMount) bool { return m.MountPath == filepath.Dir(token) }) {
		t.Errorf("nothing is mounted where %s is to be", token)
	}
}

// The memory is at least what `wsd tune` says that so many clients need.
func TestMemory(t *testing.T) {
	all := objects(t)
	set := settings(t, only[*core.ConfigMap](t, all))
	c := only[*apps.Deployment](t, all).Spec.Template.Spec.Containers[0]
	clients := int(set["max-clients"].(float64))
	var report struct{ Estimate map[string]any }
	cmd := exec.Command("go", "run", "./cmd/wsd", "tune", "check", "--json", "--clients="+strconv.Itoa(clients))
	cmd.Dir = "../.."
	out, _ := cmd.Output() // fails where this machine is too small
	if err := json.Unmarshal(out, &report); err != nil {
		t.Fatal(err)
	}
	needed, ok := report.Estimate["total"].(float64)
	if !ok {
		t.Fatalf("no total among %v", slices.Collect(maps.Keys(report.Estimate)))
	}
	if limit := c.Resources.Limits.Memory().Value(); float64(limit) < needed*1.2 {
		t.Errorf("the limit is %d bytes, %d clients need %.0f and some room", limit, clients, needed)
	}
	if *c.Resources.Limits.Memory() != *c.Resources.Requests.Memory() {
		t.Error("memory that is not requested can be taken away")
	}
}

// Everything that selects pods selects these.
func TestSelectors(t *testing.T) {
	all := objects(t)
	pod := labels.Set(only[*apps.Deployment](t, all).Spec.Template.Labels)
	selects := func(what string, s *meta.LabelSelector) {
		selector, err := meta.LabelSelectorAsSelector(s)
		if err != nil || selector.Empty() || !selector.Matches(pod) {
			t.Errorf("%s selects %v, not %v (%v)", what, selector, pod, err)
		}
	}
	selects("the Deployment", only[*apps.Deployment](t, all).Spec.Selector)
	selects("the PodDisruptionBudget", only[*policy.PodDisruptionBudget](t, all).Spec.Selector)
	selects("the NetworkPolicy", &only[*networking.NetworkPolicy](t, all).Spec.PodSelector)
	for _, o := range all {
		if s, ok := o.(*core.Service); ok {
			selects("the Service "+s.Name, &meta.LabelSelector{MatchLabels: s.Spec.Selector})
		}
	}
}

// No container may become root or write to its image, but for the one whose
// purpose is to set the node's kernel.
func TestRights(t *testing.T) {
	all := objects(t)
	deployment, node := only[*apps.Deployment](t, all), only[*apps.DaemonSet](t, all)
	if p := deployment.Spec.Template.Spec.SecurityContext; !*p.RunAsNonRoot || p.SeccompProfile.Type != core.SeccompProfileTypeRuntimeDefault {
		t.Errorf("the pod runs as %+v", p)
	}
	for _, c := range append(deployment.Spec.Template.Spec.Containers, node.Spec.Template.Spec.Containers...) {
		s := c.SecurityContext
		if *s.AllowPrivilegeEscalation || !*s.ReadOnlyRootFilesystem || !slices.Equal(s.Capabilities.Drop, []core.Capability{"ALL"}) {
			t.Errorf("%s may do more than it needs: %+v", c.Name, s)
		}
	}
	if args := strings.Join(node.Spec.Template.Spec.InitContainers[0].Args, " "); !strings.HasPrefix(args, "tune apply ") {
		t.Errorf("the privileged container runs %q", args)
	}
}
