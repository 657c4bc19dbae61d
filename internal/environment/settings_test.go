package environment

import (
	"reflect"
	"slices"
	"testing"

	"greenroom/internal/app"
	"greenroom/internal/driver"
)

// A setting that a definition takes and no container gets would be dropped in silence.
func TestSettingsDropNothing(t *testing.T) {
	elsewhere := []string{ // what needs the environment
		"Tag", "Build", "Pull", "User", "Aliases", "Ports", "Mounts", "Secrets", "Configs",
	}
	names := map[string]string{"Restart": "RestartPolicy"} // what is called otherwise
	kind := reflect.TypeFor[app.Container]()
	for i := range kind.NumField() {
		field := kind.Field(i)
		if slices.Contains(elsewhere, field.Name) {
			continue
		}
		from := new(app.Container)
		fill(reflect.ValueOf(from).Elem().Field(i))
		name := field.Name
		if other, ok := names[name]; ok {
			name = other
		}
		got := reflect.ValueOf(settings(app.Service{Container: from})).FieldByName(name)
		if !got.IsValid() || got.IsZero() {
			t.Errorf("%s of a container is dropped", field.Name)
			continue
		}
		want := reflect.New(got.Type()).Elem()
		fill(want)
		if !reflect.DeepEqual(got.Interface(), want.Interface()) {
			t.Errorf("%s becomes %+v, want %+v", field.Name, got, want)
		}
	}
	if got := settings(app.Service{Image: "sha256:1", Container: &app.Container{}}); !reflect.DeepEqual(got, driver.Container{Image: "sha256:1"}) {
		t.Errorf("a container with nothing of its own becomes %+v", got)
	}
}

// fill makes everything in a value other than its zero.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(true)
	case reflect.String:
		v.SetString("host")
	case reflect.Int, reflect.Int64:
		v.SetInt(7)
	case reflect.Uint32:
		v.SetUint(7)
	case reflect.Float64:
		v.SetFloat(7)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("host"), reflect.ValueOf("host"))
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i))
		}
	default:
		panic("a kind that no setting had: " + v.Kind().String())
	}
}
