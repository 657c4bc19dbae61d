//go:build sqlite

package main

import _ "modernc.org/sqlite" // the driver sqlite: of the size of all the rest, and each release carries it
