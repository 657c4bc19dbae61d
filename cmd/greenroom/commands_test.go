package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"greenroom/internal/cli"
	"greenroom/internal/daemon"
)

// Commands that people are told to type have to be there: those on the pages, and those in the hints of the program.

func tree() *cobra.Command {
	root := cli.New(daemon.Program{}.Deps(), cli.Streams{Getenv: func(string) string { return "" }})
	root.InitDefaultCompletionCmd()
	return root
}

var (
	// A command on a page stands in a line of code (indented), or between backticks.
	codeLine = regexp.MustCompile(`(?m)^    (.*)$`)
	codeSpan = regexp.MustCompile("`([^`\n]+)`")
	// typed is one command; it ends where the shell or a sentence goes on.
	typed = regexp.MustCompile(`(?:^|[\s("=$])greenroom ((?:[^|;&)#\n"]|"[^"]*")+)`)
)

func TestCommandsOnPagesExist(t *testing.T) {
	count := 0
	for name, page := range pages(t) {
		for whole, code := range map[bool]*regexp.Regexp{true: codeLine, false: codeSpan} {
			for _, m := range code.FindAllStringSubmatch(page, -1) {
				for _, c := range typed.FindAllStringSubmatch(m[1], -1) {
					count++
					// What Greenroom printed stands in lines of code, too: there "next:" and marks come before.
					printed := strings.ContainsAny(m[1], "✓✗·↩{") || strings.Contains(m[1], "next:")
					if err := exists(c[1], whole && !printed); err != nil {
						t.Errorf("%s: %q: %v", name, m[1], err)
					}
				}
			}
		}
	}
	if count < 50 {
		t.Errorf("only %d commands were found: what marks them has changed", count)
	}
}

// exists follows a command line into the tree. whole says that it has all of its arguments.
func exists(line string, whole bool) error {
	cmd := tree()
	var args []string
	words := strings.Fields(line)
	for i := 0; i < len(words); i++ {
		word := words[i]
		switch {
		case strings.HasPrefix(word, "-"):
			takesValue, err := option(cmd, word)
			if err != nil {
				return err
			}
			if takesValue {
				i = skipValue(words, i+1)
			}
		case cmd.HasSubCommands():
			next, _, err := cmd.Find([]string{word})
			if next == cmd && cmd.Args(cmd, append(args, word)) == nil { // break-glass takes an environment, and has a command review
				args = append(args, word)
				continue
			}
			process := slices.Contains([]string{"daemon", "edge", "supervise"}, word) // hidden, and told of
			if err != nil || next == cmd || next.Hidden && !process {
				return fmt.Errorf("%s has no command %s", cmd.CommandPath(), word)
			}
			cmd = next
		case word == ">" || word == "<":
			i = len(words)
		default:
			args = append(args, word)
		}
	}
	if !whole || cmd.Args == nil {
		return nil
	}
	return cmd.Args(cmd, args)
}

// option says whether an option that is there takes the next word.
func option(cmd *cobra.Command, word string) (takesValue bool, err error) {
	name, _, given := strings.Cut(strings.TrimLeft(word, "-"), "=")
	cmd.InitDefaultHelpFlag()
	f := cmd.Flags().Lookup(name)
	if f == nil {
		f = cmd.InheritedFlags().Lookup(name)
	}
	if f == nil && len(name) == 1 {
		if f = cmd.Flags().ShorthandLookup(name); f == nil {
			f = cmd.InheritedFlags().ShorthandLookup(name)
		}
	}
	if f == nil {
		return false, fmt.Errorf("%s has no option %s", cmd.CommandPath(), word)
	}
	return !given && f.NoOptDefVal == "", nil
}

// skipValue is the last word of a value, which may be quoted.
func skipValue(words []string, i int) int {
	if i >= len(words) || !strings.HasPrefix(words[i], `"`) {
		return i
	}
	for i < len(words)-1 && !strings.HasSuffix(words[i], `"`) {
		i++
	}
	return i
}

func TestHintsNameCommands(t *testing.T) {
	count := 0
	for _, hint := range hints(t) {
		for _, c := range typed.FindAllStringSubmatch(strings.NewReplacer(",", ";", ":", ";", "`", ";").Replace(hint), -1) {
			count++
			line := strings.ReplaceAll(strings.ReplaceAll(c[1], "%s", "X"), "%d", "1")
			if strings.HasSuffix(hint, " ") {
				line += "X" // something is put behind it
			}
			if err := exists(line, "greenroom "+c[1] == hint); err != nil {
				t.Errorf("the hint %q: %v", hint, err)
			}
		}
	}
	if count < 30 {
		t.Errorf("only %d commands were found in hints: what makes them has changed", count)
	}
}

// hints are the texts that the program gives as the next thing to do.
func hints(t *testing.T) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir("../../internal", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			all = append(all, hintsIn(n)...)
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// hintsIn are the texts of a call to WithHint or next, and of what is assigned to a Hint or a Next.
func hintsIn(n ast.Node) []string {
	switch x := n.(type) {
	case *ast.CallExpr:
		if f, ok := x.Fun.(*ast.SelectorExpr); ok && (f.Sel.Name == "WithHint" || f.Sel.Name == "next") && len(x.Args) > 0 {
			return texts(x.Args[0])
		}
	case *ast.AssignStmt:
		if f, ok := x.Lhs[len(x.Lhs)-1].(*ast.SelectorExpr); ok && (f.Sel.Name == "Next" || f.Sel.Name == "Hint") {
			return texts(x.Rhs[len(x.Rhs)-1])
		}
	case *ast.KeyValueExpr:
		if f, ok := x.Key.(*ast.Ident); ok && (f.Name == "Next" || f.Name == "Hint") {
			return texts(x.Value)
		}
	}
	return nil
}

func texts(n ast.Node) []string {
	var all []string
	ast.Inspect(n, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			if text, err := strconv.Unquote(lit.Value); err == nil {
				all = append(all, text)
			}
		}
		return true
	})
	return all
}
