package plan

import (
	"strings"
	"testing"

	"greenroom/internal/problem"
)

func TestValidate(t *testing.T) {
	for _, c := range []struct {
		name string
		harm func(p *Plan)
		want string
		code problem.Code
	}{
		{"as it should be", func(*Plan) {}, "", ""},
		{"newer", func(p *Plan) { p.Format = Format + 1 }, "format 2, this Greenroom knows 1", problem.Unavailable},
		{"no format", func(p *Plan) { p.Format = 0 }, "no format", problem.Internal},
		{"no app", func(p *Plan) { p.App = "" }, "names no app", problem.Internal},
		{"no environment", func(p *Plan) { p.Environment = "" }, "no environment", problem.Internal},
		{"no steps", func(p *Plan) { p.Steps = nil }, "no steps", problem.Internal},
		{"no name", func(p *Plan) { p.Steps[1].Name = "" }, "step 2 of the plan has no name", problem.Internal},
		{"no action", func(p *Plan) { p.Steps[0].Action = "" }, "step 1 of the plan has no name or no action", problem.Internal},
		{"one name twice", func(p *Plan) { p.Steps[2].Name = "look" }, `two steps of the plan are called "look"`, problem.Internal},
		{"always, and taken back", func(p *Plan) { p.Steps[1].Always = true }, `"migrate" of the plan is done always`, problem.Internal},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := three()
			c.harm(&p)
			err := p.Validate()
			switch {
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want == "":
			case err == nil || !strings.Contains(err.Error(), c.want):
				t.Errorf("got %v, want %q", err, c.want)
			case problem.From(err).Code != c.code:
				t.Errorf("code %s, want %s", problem.From(err).Code, c.code)
			}
		})
	}
}
