package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"greenroom/examples"
	"greenroom/internal/api"
	"greenroom/internal/driver"
	"greenroom/internal/driver/process"
	"greenroom/internal/evidence"
	"greenroom/internal/migration"
	"greenroom/internal/plan"
	"greenroom/internal/term"
	"greenroom/internal/web"
)

// pastOrders are enough that writing the table anew takes longer than a migration may stand in the way, and few enough
// that a demo can wait for each copy of them.
const pastOrders = 200_000

// remember gives production a year of orders.
func (s *story) remember(ctx context.Context) error {
	text := fmt.Sprintf("give production a year of orders: %s", migration.Thousands(pastOrders))
	return s.step(text, func(func(string)) (string, error) {
		d, err := process.New(process.Options{Dir: s.home.Replicas(), Supervise: []string{s.program.Path}})
		if err != nil {
			return "", err
		}
		all, err := d.List(ctx, driver.Filter{App: s.app})
		if err != nil {
			return "", err
		}
		for _, r := range all {
			if r.Environment != "production" || r.Service != "db" {
				continue
			}
			cmd := exec.CommandContext(ctx, filepath.Join(s.shop, "bin", "shop"), "history", "--orders", strconv.Itoa(pastOrders))
			cmd.Env = []string{"DATABASE_URL=postgres://shop:shop@" + r.Listen.Address + "/shop?sslmode=disable"}
			out, err := cmd.CombinedOutput()
			if err != nil {
				return "", untold("shop history: %v: %s", err, out)
			}
			return strings.TrimSpace(string(out)), nil
		}
		return "", untold("production has no database server")
	})
}

// rewritten is the release whose migration is over at once in dev, and would have stopped production; then its safe form.
func (s *story) rewritten(ctx context.Context) error {
	s.act("Act three: a migration that takes milliseconds in dev would stop all orders at production's size")
	if err := s.remember(ctx); err != nil {
		return err
	}
	r, err := s.change(ctx, examples.Slow)
	if err != nil {
		return err
	}
	run, err := s.promote(ctx, r, "dev", plan.Succeeded)
	if err != nil {
		return err
	}
	if err := s.tellMigration("dev, with a handful of orders", run); err != nil {
		return err
	}
	report, err := s.rehearse(ctx, r, evidence.Fail)
	if err != nil {
		return err
	}
	if err := s.standstill(report); err != nil {
		return err
	}
	if err := s.page(report); err != nil {
		return err
	}
	if err := s.refused(ctx, r, "production does not take it"); err != nil {
		return err
	}
	return s.stepByStep(ctx)
}

// stepByStep promotes the safe form while customers buy.
func (s *story) stepByStep(ctx context.Context) error {
	r, err := s.toStaging(ctx, examples.Safe)
	if err != nil {
		return err
	}
	seen := s.customers.total()
	run, err := s.promote(ctx, r, "production", plan.Succeeded)
	if err != nil {
		return err
	}
	if run.Migration == "" {
		return untold("the forecast was not compared with what happened")
	}
	s.tell("  %s %s\n", s.screen.Mark(term.Pass), run.Migration)
	return s.prove(run, seen)
}

// tellMigration says how long a promotion's migration took, which has to be less than anybody would notice.
func (s *story) tellMigration(where string, run api.RunView) error {
	for _, e := range run.Journal {
		var result struct {
			Took time.Duration `json:"took"`
		}
		if e.Step != "migrate" || e.State != plan.Done || json.Unmarshal(e.Result, &result) != nil {
			continue
		}
		if result.Took <= 0 || result.Took > time.Second*2 {
			return untold("the migration took %s in %s", migration.Human(result.Took), where)
		}
		s.tell("  %s the migration took %s in %s\n", s.screen.Mark(term.Pass), migration.Human(result.Took), where)
		return nil
	}
	return untold("the journal of %s does not say how long the migration took", run.ID)
}

// standstill shows what the rehearsal says of the migration: that orders would have stood still, and what to write in its
// place.
func (s *story) standstill(r evidence.Report) error {
	m := r.Migration()
	if m == nil || len(m.Findings) == 0 || m.Findings[0].Verdict != string(evidence.Fail) || m.Findings[0].Table != "orders" {
		return untold("the rehearsal says nothing against the migration of orders")
	}
	if len(m.Advice) == 0 {
		return untold("the rehearsal has no advice about the migration of orders")
	}
	s.tell("    %s\n    safer: %s\n%s", s.screen.Paint(term.Dim, "it ran on "+m.Data), m.Advice[0].Why,
		term.Indent("      | ", m.Advice[0].Instead))
	return nil
}

// page writes the report for a browser.
func (s *story) page(r evidence.Report) (err error) {
	path := filepath.Join(filepath.Dir(s.shop), "report.html")
	return s.step("write the report as one page", func(func(string)) (string, error) {
		out, err := os.Create(path)
		if err != nil {
			return "", err
		}
		if err := web.Report(out, r); err != nil {
			_ = out.Close()
			return "", err
		}
		return path, out.Close()
	})
}

// apply makes the policy of the repository the one in force: the masks of new columns come with the release that has them.
func (s *story) apply(ctx context.Context) error {
	d, err := s.program.Load(ctx, s.shop)
	if err != nil {
		return err
	}
	_, err = s.client.Apply(ctx, api.Registration{App: d.App.Name, Repository: s.shop, Policy: d.App.Policy}, false)
	return err
}
