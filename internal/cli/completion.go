package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"greenroom/internal/api"
)

// completeTime is how long the shell waits for candidates: a person is in the middle of a line.
const completeTime = time.Second

type completer = cobra.CompletionFunc

// mustComplete gives an option its fixed values. The option exists: it was made a line above.
func mustComplete(cmd *cobra.Command, flag string, values ...string) {
	must(cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)))
}

func must(err error) {
	if err != nil {
		panic(err) // a command was put together wrongly
	}
}

// completeWith asks the daemon for candidates; without one there are none.
func (s *shell) completeWith(find func(ctx context.Context, c *api.Client, app string) []cobra.Completion) completer {
	return func(cmd *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		ctx, cancel := context.WithTimeout(cmd.Context(), completeTime)
		defer cancel()
		c, app, err := s.reach(ctx)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		defer c.Close()
		return find(ctx, c, app), cobra.ShellCompDirectiveNoFileComp
	}
}

func (s *shell) completeReleases() completer {
	return s.completeWith(func(ctx context.Context, c *api.Client, app string) []cobra.Completion {
		names := []cobra.Completion{cobra.CompletionWithDesc("latest", "the newest release")}
		releases, err := c.Releases(ctx, app, 20)
		if err != nil {
			return names
		}
		for _, r := range releases {
			names = append(names, cobra.CompletionWithDesc(r.Digest.Short(), origin(r)))
		}
		return names
	})
}

func (s *shell) completeEnvironments() completer {
	return s.completeWith(func(ctx context.Context, c *api.Client, app string) []cobra.Completion {
		status, err := c.Status(ctx, app)
		if err != nil {
			return nil
		}
		var names []cobra.Completion
		for _, a := range status.Apps {
			for _, e := range a.Environments {
				names = append(names, cobra.CompletionWithDesc(e.Name, e.Address))
			}
		}
		return names
	})
}

// completeInTurn completes the n-th argument with the n-th of these.
func completeInTurn(turns ...completer) completer {
	return func(cmd *cobra.Command, args []string, toComplete string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) >= len(turns) {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return turns[len(args)](cmd, args, toComplete)
	}
}
