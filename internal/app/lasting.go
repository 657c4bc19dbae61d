package app

import "slices"

// Lasting says whether a service outlives releases for as long as it does not change, as a database server does: a container
// that must not run twice, such as a cache, and that does not wait for anything which comes and goes with its release. A process
// does not: it knows the others by addresses that are its release's.
func (c Contents) Lasting(s Service) bool { return c.lasting(s, nil) }

func (c Contents) lasting(s Service, above []string) bool {
	switch {
	case s.Kind != KindContainer || s.Order != StopFirst || s.Public || s.Job:
		return false
	case c.Migrations != nil && c.Migrations.AtStart == s.Name:
		return false
	case slices.Contains(above, s.Name): // it waits for itself, which nothing starts
		return false
	}
	above = append(slices.Clone(above), s.Name)
	return !slices.ContainsFunc(s.DependsOn, func(d Dependency) bool {
		on, ok := c.Service(d.Service)
		return ok && on.Released() && !c.lasting(on, above)
	})
}
