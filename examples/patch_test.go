package examples

import (
	"maps"
	"strings"
	"testing"
)

const goodPatch = `Some words

diff --git a/tea b/tea
--- a/tea
+++ b/tea
@@ -1,3 +1,3 @@ context
 boil
-wait
+wait five minutes
 pour
@@ -5 +5,2 @@
 drink
+enjoy
diff --git a/new/cup b/new/cup
new file mode 100644
--- /dev/null
+++ b/new/cup
@@ -0,0 +1,2 @@
+one
+two
`

func TestApplyPatch(t *testing.T) {
	tree := map[string]string{"tea": "boil\nwait\npour\nblow\ndrink\n", "other": "x\n"}
	if err := applyPatch(tree, goodPatch); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"tea": "boil\nwait five minutes\npour\nblow\ndrink\nenjoy\n", "other": "x\n", "new/cup": "one\ntwo\n",
	}
	if !maps.Equal(tree, want) {
		t.Errorf("the tree is %q, want %q", tree, want)
	}
}

func TestApplyPatchToTheLetterOrNotAtAll(t *testing.T) {
	for name, c := range map[string]struct{ tea, patch, message string }{
		"another line":     {"boil\nwait an hour\npour\nblow\ndrink\n", goodPatch, "line 2 is not"},
		"a shorter file":   {"boil\nwait\npour\n", goodPatch, "no line 5"},
		"moved by a line":  {"fill\nboil\nwait\npour\nblow\ndrink\n", goodPatch, "line 1 is not"},
		"no patch":         {"boil\n", "Some words\n", "changes nothing"},
		"no file":          {"boil\n", "diff --git a/x b/x\n", "no file is named"},
		"a missing file":   {"boil\n", "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n", "x: it is there: false"},
		"an existing file": {"boil\n", "diff --git a/tea b/tea\n--- /dev/null\n+++ b/tea\n@@ -0,0 +1 @@\n+b\n", "tea: it is there: true"},
		"nonsense":         {"boil\n", "diff --git a/tea b/tea\n--- a/tea\n+++ b/tea\n@@ -1 +1 @@\n-boil\n\\ No newline\n", "makes no sense"},
	} {
		err := applyPatch(map[string]string{"tea": c.tea}, c.patch)
		if err == nil || !strings.Contains(err.Error(), c.message) {
			t.Errorf("%s: the error is %v, want %q", name, err, c.message)
		}
	}
}

func TestApplyPatchDeletesWhatItSaysIsThere(t *testing.T) {
	const patch = "diff --git a/tea b/tea\ndeleted file mode 100644\n--- a/tea\n+++ /dev/null\n@@ -1,2 +0,0 @@\n-boil\n-wait\n"
	tree := map[string]string{"tea": "boil\nwait\n", "other": "x\n"}
	if err := applyPatch(tree, patch); err != nil || !maps.Equal(tree, map[string]string{"other": "x\n"}) {
		t.Errorf("the tree is %q, %v", tree, err)
	}
	err := applyPatch(map[string]string{"tea": "boil\nwait\npour\n"}, patch)
	if err == nil || !strings.Contains(err.Error(), "1 lines would be left") {
		t.Errorf("a longer file is deleted with %v", err)
	}
}
