package definition

import (
	"slices"
	"strings"
)

// circle is one way round that the edges allow, beginning with its first name by the alphabet, or nil. compose-go finds
// circles too, and begins each time with another service.
func circle(edges map[string][]string) []string {
	for _, start := range sortedKeys(edges) {
		if way := walkRound(edges, []string{start}, map[string]bool{}); way != nil {
			return way
		}
	}
	return nil
}

// walkRound goes on from the last name of way until it is back at the first.
func walkRound(edges map[string][]string, way []string, seen map[string]bool) []string {
	for _, next := range edges[way[len(way)-1]] {
		if next == way[0] {
			return append(way, next)
		}
		if seen[next] {
			continue
		}
		seen[next] = true
		if round := walkRound(edges, append(slices.Clone(way), next), seen); round != nil {
			return round
		}
	}
	return nil
}

// extendsCircle reports services of the same files that extend one another without an end.
func (p *project) extendsCircle() {
	edges := map[string][]string{}
	for _, s := range p.allSources() {
		for _, name := range s.keys("services") {
			if base := p.base(name); base != "" && s.find("services", name, "extends", "file").depth < 4 {
				edges[name] = []string{base}
			}
		}
	}
	if way := circle(edges); way != nil {
		p.report.fault(p.atKey("services", way[0], "extends"), "services extend one another in a circle: "+strings.Join(way, " extends "), "one of them has to stand by itself")
	}
}

// dependsCircle reports services that wait for one another.
func (p *project) dependsCircle(services map[string]any) {
	edges := map[string][]string{}
	for name, s := range services {
		edges[name] = mentioned(mapping(s)["depends_on"])
	}
	if way := circle(edges); way != nil {
		p.report.fault(p.mention(way[0], "depends_on", way[1]), "services wait for one another in a circle: "+strings.Join(way, " waits for "), "one of them has to start first")
	}
}
