package definition

import "slices"

// What runs services.
const (
	driverProcess = "process"
	driverDocker  = "docker"
)

// drivers are the words that `driver` takes, and laterDrivers those that it will take.
var (
	drivers      = []string{driverProcess, driverDocker}
	laterDrivers = []string{"kubernetes", "command"}
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
		d.report.fault(d.at("driver"), "the driver "+quote(word)+" is not built yet in this version", "write "+quoteAll(drivers[:1])+" for plain processes, or "+quoteAll(drivers[1:])+" for containers")
	default:
		d.report.fault(d.at("driver"), quote(clip(word))+" is no driver", unless(word, drivers))
	}
	return driverProcess
}
