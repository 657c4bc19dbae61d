package app

import (
	"fmt"
	"slices"
)

// Validate says what makes a policy none, whoever sends it: a name that stands for two things, or for what is something
// else. A definition is held against stricter rules where it is read.
func (p Policy) Validate() error {
	if p.App == "" {
		return fmt.Errorf("the policy is that of no app")
	}
	environments := environmentNames(p)
	for i, name := range environments {
		switch {
		case name == "":
			return fmt.Errorf("an environment has no name")
		case name == StageName || name == TrialName || name == BuildName:
			return fmt.Errorf("an environment can't be called %s", name)
		case slices.Contains(environments[:i], name):
			return fmt.Errorf("two environments are called %s", name)
		}
	}
	for r := range p.Roles {
		if !slices.Contains(Rights, r) {
			return fmt.Errorf("%s is no right", r)
		}
	}
	for i, k := range p.Keys {
		same := func(other TrustedKey) bool { return other.Name == k.Name || other.Public == k.Public }
		switch {
		case k.Name == "" || k.Public == "":
			return fmt.Errorf("a key has no name, or no public key")
		case slices.ContainsFunc(p.Keys[:i], same):
			return fmt.Errorf("the key %s stands in the policy twice", k.Name)
		}
	}
	return nil
}
