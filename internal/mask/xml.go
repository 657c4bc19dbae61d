package mask

import (
	"bytes"
	"strings"
)

// xmlMask masks texts, values of attributes, comments, CDATA and processing instructions of an XML text. Names of
// elements and attributes stay, and so do references as &amp; and namespaces, which are part of the names.
type xmlMask struct {
	plainMask
	text masker
}

// xmlParts are what markup begins and ends with, the longest first, and how many bytes of it are its frame.
var xmlParts = []struct{ begin, end string }{
	{"<![CDATA[", "]]>"},
	{"<!--", "-->"},
	{"<?", "?>"},
}

func (m *xmlMask) mask(dst, value []byte) []byte {
	for rest := value; len(rest) > 0; {
		if rest[0] != '<' {
			end := bytes.IndexByte(rest, '<')
			if end < 0 {
				end = len(rest)
			}
			dst = m.between(dst, rest[:end])
			rest = rest[end:]
			continue
		}
		var n int
		dst, n = m.markup(dst, rest)
		rest = rest[n:]
	}
	return dst
}

// between masks a text between elements, without the blanks around it.
func (m *xmlMask) between(dst, text []byte) []byte {
	body := bytes.TrimSpace(text)
	if len(body) == 0 {
		return append(dst, text...)
	}
	at := bytes.Index(text, body)
	dst = append(dst, text[:at]...)
	dst = m.value(dst, body)
	return append(dst, text[at+len(body):]...)
}

// value masks as the use text does, where the value has no reference that this would take apart.
func (m *xmlMask) value(dst, text []byte) []byte {
	if bytes.IndexByte(text, '&') < 0 {
		return m.text.mask(dst, text)
	}
	for len(text) > 0 { // a character's number would say what it is
		if n := numbered(text); n > 0 {
			dst = append(dst, '*')
			text = text[n:]
			continue
		}
		end := 1 + bytes.Index(text[1:], []byte("&#"))
		if end == 0 {
			end = len(text)
		}
		dst = m.as(dst, text[:end], tweak{}, asMarkup)
		text = text[end:]
	}
	return dst
}

// numbered is how long a reference to a character by its number is that begins the text.
func numbered(text []byte) int {
	if !bytes.HasPrefix(text, []byte("&#")) {
		return 0
	}
	return bytes.IndexByte(text[:min(len(text), longestReference)], ';') + 1
}

// markup takes over what begins with < and says how long it is. What does not end is text to the end.
func (m *xmlMask) markup(dst, rest []byte) ([]byte, int) {
	for _, part := range xmlParts {
		if !bytes.HasPrefix(rest, []byte(part.begin)) {
			continue
		}
		end := bytes.Index(rest[len(part.begin):], []byte(part.end))
		if end < 0 {
			return m.unended(dst, rest)
		}
		body := rest[len(part.begin) : len(part.begin)+end]
		dst = append(dst, part.begin...)
		if part.begin == "<?" && isXMLDeclaration(body) {
			dst = append(dst, body...)
		} else {
			dst = m.safe(dst, body)
		}
		return append(dst, part.end...), len(part.begin) + end + len(part.end)
	}
	end := tagEnd(rest)
	if end < 0 {
		return m.unended(dst, rest)
	}
	if bytes.HasPrefix(rest, []byte("<!")) {
		return m.quotedIn(dst, rest[:end]), end
	}
	return m.tag(dst, rest[:end]), end
}

func (m *xmlMask) unended(dst, rest []byte) ([]byte, int) {
	return m.as(dst, rest, tweak{}, asText), len(rest)
}

// safe masks the body of a comment, of CDATA or of an instruction. Other letters at the same places make no end of it.
// The name of an instruction is masked along: there must be no xml among them by chance.
func (m *xmlMask) safe(dst, body []byte) []byte {
	return m.as(dst, body, tweak{}, asText)
}

func isXMLDeclaration(body []byte) bool {
	return bytes.HasPrefix(body, []byte("xml ")) || string(body) == "xml"
}

// tagEnd finds the end of a tag or of a declaration, quotes and an inner part in brackets aside.
func tagEnd(rest []byte) int {
	quote, brackets := byte(0), 0
	for i, c := range rest {
		switch {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '[':
			brackets++
		case c == ']':
			brackets--
		case c == '>' && brackets <= 0:
			return i + 1
		}
	}
	return -1
}

// tag takes a tag over and masks the values of its attributes.
func (m *xmlMask) tag(dst, tag []byte) []byte {
	return inQuotes(dst, tag, func(dst, before, value []byte) []byte {
		name := attributeName(before)
		if name == "xmlns" || strings.HasPrefix(name, "xmlns:") || strings.HasPrefix(name, "xml:") || len(value) == 0 {
			return append(dst, value...)
		}
		return m.value(dst, value)
	})
}

// inQuotes takes a text over, with what stands in quotes as write has it, which gets what stands before it as well.
func inQuotes(dst, text []byte, write func(dst, before, value []byte) []byte) []byte {
	for len(text) > 0 {
		open := bytes.IndexAny(text, `"'`)
		if open < 0 {
			break
		}
		length := bytes.IndexByte(text[open+1:], text[open])
		if length < 0 {
			break
		}
		dst = append(dst, text[:open+1]...)
		dst = write(dst, text[:open], text[open+1:open+1+length])
		dst = append(dst, text[open])
		text = text[open+length+2:]
	}
	return append(dst, text...)
}

// attributeName is the name that stands last in a text, before its equals sign.
func attributeName(text []byte) string {
	text = bytes.TrimRight(text, " \t\r\n=")
	return string(text[bytes.LastIndexAny(text, " \t\r\n\"'")+1:])
}

// quotedIn masks what stands in quotes in a declaration.
func (m *xmlMask) quotedIn(dst, text []byte) []byte {
	return inQuotes(dst, text, func(dst, _, value []byte) []byte { return m.as(dst, value, tweak{}, asMarkup) })
}
