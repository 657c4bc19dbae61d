package cli

import "github.com/spf13/cobra"

func (s *shell) schemaCommand() *cobra.Command {
	files := []string{"greenroom.yaml", "mask.yaml"}
	return &cobra.Command{
		Use:   "schema [FILE]",
		Short: "The JSON schema of greenroom.yaml, or of mask.yaml, for editors",
		Long: `Prints the JSON schema of greenroom.yaml, or of mask.yaml. Editors that speak
YAML complete and check the file with it, for instance with this first line:  #
yaml-language-server: $schema=greenroom.schema.json`,
		Example:   "  greenroom schema > greenroom.schema.json\n  greenroom schema mask.yaml > mask.schema.json",
		Args:      takes(0, "FILE"),
		ValidArgs: files,
		RunE: func(cmd *cobra.Command, args []string) error {
			file := files[0]
			if len(args) == 1 {
				file = args[0]
			}
			if file != files[0] && file != files[1] {
				return usage(cmd, "there is no schema of %s: there is one of greenroom.yaml, and one of mask.yaml", file)
			}
			b, err := s.Schema(file)
			if err != nil {
				return err
			}
			s.print("%s", b)
			return nil
		},
	}
}
