package gate

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestAlike: what is to be told of several checks in the same words is told once, and nothing else is put together.
func TestAlike(t *testing.T) {
	d := func(name string, answer Answer, reason, next string, proof *Proof) Demand {
		return Demand{Name: name, Answer: answer, Reason: reason, Next: next, Proof: proof}
	}
	mine := func(on string) *Proof { return &Proof{Signer: "mine", DependsOn: []Dependence{{On: on}}} }
	others := &Proof{Signer: "others"}
	in := []Demand{
		d("live in qa", No, "no", "x", nil), d("check a", Unknown, "not run", "x", mine("schema")), d("live in staging", No, "no", "x", nil),
		d("check b", Unknown, "not run", "x", mine("config")), d("check c", No, "not run", "x", mine("schema")), d("check d", Unknown, "not run", "y", nil),
		d("check e", Unknown, "not run", "x", others), d("check f", Yes, "passed", "", nil), d("check g", Yes, "passed", "", nil),
		d("check h", Unknown, "not run", "x", mine("schema")),
	}
	want := append([]Demand{}, in[0], d("checks a, b, h", Unknown, "not run", "x", &Proof{Signer: "mine", DependsOn: []Dependence{{On: "schema"}, {On: "config"}}}), in[2])
	want = append(want, in[4:9]...)
	if diff := cmp.Diff(want, Alike(in)); diff != "" {
		t.Error(diff)
	}
	if len(in[1].Proof.DependsOn) != 1 || in[1].Name != "check a" {
		t.Errorf("what was given is changed: %+v", in[1])
	}
}
