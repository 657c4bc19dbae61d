package cli

import (
	"context"
	"fmt"
	"strings"

	"greenroom/internal/api"
	"greenroom/internal/term"
)

// glassPage tells loudly of a gate's no that somebody went past.
func glassPage(s term.Screen, environment string, g api.GlassView) string {
	var b strings.Builder
	loud := func(text string) { fmt.Fprintf(&b, "  %s\n", s.Paint(term.Red, "! "+text)) }
	loud(fmt.Sprintf("%s: GLASS BROKEN by %s on %s: %s (%s)", environment, term.Clean(g.By), clock(g.At), term.Clean(g.Because), term.Clean(g.Run)))
	for _, o := range g.Overridden {
		fmt.Fprintf(&b, "      past: %s\n", term.Clean(o))
	}
	if g.Reviewed != "" {
		fmt.Fprintf(&b, "      reviewed: %s\n", term.Clean(g.Reviewed))
	} else {
		fmt.Fprintf(&b, "      next: greenroom break-glass review %s --because WHAT-YOU-FOUND, by somebody else\n", term.Clean(g.Run))
	}
	return b.String()
}

// openGlass tells what was broken in an environment and not reviewed yet; nothing where that can't be asked.
func (s *shell) openGlass(ctx context.Context, c *api.Client, app, environment string) string {
	v, err := c.Status(ctx, app)
	if err != nil {
		return ""
	}
	var b strings.Builder
	for _, a := range v.Apps {
		for _, e := range a.Environments {
			for _, g := range e.Glass {
				if e.Name == environment {
					b.WriteString(glassPage(s.Out, term.Clean(e.Name), g))
				}
			}
		}
	}
	return b.String()
}
