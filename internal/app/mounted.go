package app

import "strings"

// Innermost is the innermost of the folders in which a path is, or which it is itself: what is mounted there is over the path, whatever is
// mounted further out. "" is none. All are clean absolute paths in a container.
func Innermost(path string, folders []string) (innermost string) {
	for _, f := range folders {
		if strings.HasPrefix(path+"/", strings.TrimSuffix(f, "/")+"/") && len(f) > len(innermost) {
			innermost = f
		}
	}
	return innermost
}
