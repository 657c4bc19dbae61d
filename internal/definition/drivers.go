package definition

import (
	"fmt"
	"slices"
)

// What runs services.
const (
	driverProcess = "process"
	driverDocker  = "docker"
	driverCommand = "command" // the team's own deploy
)

// drivers are the words that `driver` takes, and laterDrivers those that it will take.
var (
	drivers      = []string{driverProcess, driverDocker, driverCommand}
	laterDrivers = []string{"kubernetes"}
)

// driver is what runs the services. A word that is none is reported.
func (d *document) driver() string {
	word := d.keys.Driver
	switch {
	case !d.isText([]string{"driver"}): // not given, or told by the schema
		return driverProcess
	case slices.Contains(drivers, word):
		return word
	case slices.Contains(laterDrivers, word):
		d.report.fault(d.at("driver"), "the driver "+quote(word)+" is not built yet in this version", fmt.Sprintf("write `%s` for plain processes, `%s` for containers, or `%s` for a deploy of your own, as by kubectl", driverProcess, driverDocker, driverCommand))
	default:
		d.report.fault(d.at("driver"), quote(clip(word))+" is no driver", unless(word, drivers))
	}
	return driverProcess
}
