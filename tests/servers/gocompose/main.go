// Loads a compose file as Docker's own command does (schema, interpolation, merging), and prints the project as JSON.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/compose-spec/compose-go/v2/cli"
)

func main() {
	options, err := cli.NewProjectOptions(os.Args[1:], cli.WithProfiles([]string{"*"}), cli.WithOsEnv)
	if err == nil {
		project, failed := options.LoadProject(context.Background())
		if failed == nil {
			text, _ := project.MarshalJSON()
			fmt.Println(string(text))
			return
		}
		err = failed
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
