// The small shop: an online shop for tea and what belongs to it, with a catalogue, a cart, stock, payment and orders.
//
// One program in several parts, so that one file is all that has to travel:
//
//	shop serve            the shop itself
//	shop migrate          bring the database's schema up to date
//	shop payment          the payment provider's stand-in
//	shop journey NAME     do what a customer does, and say whether it worked: browse, buy
//	shop history          fill the database with a year of orders
//	shop customers        many customers who never stop coming
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "shop:", err)
		os.Exit(1)
	}
}

const usage = "usage: shop serve | migrate | payment | journey browse|buy | history --orders N | customers --url URL"

// run is the whole program. It reads its configuration with getenv and ends well when ctx does.
func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) error {
	if len(args) == 0 {
		return errors.New(usage)
	}
	log := slog.New(slog.NewTextHandler(stdout, nil))
	switch args[0] {
	case "serve":
		return serveShop(ctx, getenv, log)
	case "migrate":
		return Migrate(ctx, getenv("DATABASE_URL"), stdout)
	case "payment":
		return serveProvider(ctx, getenv, log)
	case "journey":
		return journeyCommand(ctx, args[1:], getenv, stdout)
	case "history":
		return historyCommand(ctx, args[1:], getenv, stdout, stderr)
	case "customers":
		return customersCommand(ctx, args[1:], stdout, stderr)
	default:
		return fmt.Errorf("unknown command %q; %s", args[0], usage)
	}
}
