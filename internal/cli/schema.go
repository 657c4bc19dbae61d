package cli

import "github.com/spf13/cobra"

func (s *shell) schemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "The JSON schema of greenroom.yaml, for editors",
		Long: `Prints the JSON schema of greenroom.yaml. Editors that speak YAML complete and check the file with it, for
instance with this first line:  # yaml-language-server: $schema=greenroom.schema.json`,
		Example: "  greenroom schema > greenroom.schema.json",
		Args:    takes(0),
		RunE: func(*cobra.Command, []string) error {
			b, err := s.Schema()
			if err != nil {
				return err
			}
			s.print("%s", b)
			return nil
		},
	}
}
