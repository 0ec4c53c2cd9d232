package lookalike

import (
	"strings"
	"unicode"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"
)

// pairs are letters that together look like another one.
func pairs() *strings.Replacer { return strings.NewReplacer("rn", "m", "vv", "w", "cl", "d") }

// skeleton is what a name looks like at a glance: names that look alike have the same one. It is no name.
func (n *Names) skeleton(s string) string {
	out := []byte(s)
	for i, c := range out {
		switch c {
		case '0':
			out[i] = 'o'
		case '1', 'i':
			out[i] = 'l'
		case '3':
			out[i] = 'e'
		case '4':
			out[i] = 'a'
		case '5':
			out[i] = 's'
		case '7':
			out[i] = 't'
		case '8':
			out[i] = 'b'
		case '9', 'q':
			out[i] = 'g'
		}
	}
	return n.pairs.Replace(string(out))
}

// foreign are letters of other scripts (Cyrillic, Greek, Armenian, the noughts of many), Latin ones without a decomposition,
// and signs, by the ASCII letter that they look like.
func foreign() map[rune]rune {
	like := map[rune]rune{}
	for ascii, all := range map[rune]string{
		'-': "‐‑‒–—―−",
		'.': "․。．",
		'a': "аαλɑᴀ",
		'b': "вьβϐƅɓʙƀ",
		'c': "сҫϲςᴄƈɕ",
		'd': "ԁđᴅƌɖɗ",
		'e': "еҽεᴇɇɛ",
		'f': "ғƒ",
		'g': "ԍɡցǥɠɢ",
		'h': "һнңӊӈħհɦɧɥʜ",
		'i': "іιıɩɪɨ",
		'j': "јϳȷյᴊɉʝ",
		'k': "кқҝҟҡκƙᴋ",
		'l': "ӏʟłլƚɫɬɭ",
		'm': "мᴍɱ",
		'n': "пηɴոռƞɲɳ",
		'o': "оοδσøօ०০੦૦௦౦೦൦๐໐၀០٥۵ဝഠסᴏɵ",
		'p': "рҏρϱƥքᴘ",
		'q': "ԛզʠɋ",
		'r': "гʀɍɼɽɾ",
		's': "ѕʂȿ",
		't': "тҭτŧᴛƫʈ",
		'u': "υμսᴜʉ",
		'v': "ѵνᴠʋⱱ",
		'w': "ԝѡωᴡⱳ",
		'x': "хҳӽχ",
		'y': "уүγʏƴɏ",
		'z': "ᴢƶȥʐʑɀ",
	} {
		for _, r := range all {
			like[r] = ascii
		}
	}
	return like
}

// seen is a host as a person sees it where its labels are shown decoded: "xn--" labels decoded, marks taken off, letters
// of other scripts as the ASCII letter that they look like. What cannot be decoded stays as it is.
func (n *Names) seen(host string) string {
	if !strings.Contains(host, "xn--") {
		return host
	}
	labels := strings.Split(host, ".")
	for i, l := range labels {
		if decoded, err := idna.Punycode.ToUnicode(l); err == nil {
			labels[i] = decoded
		}
	}
	var out strings.Builder
	for _, r := range norm.NFKD.String(strings.ToLower(strings.Join(labels, "."))) {
		switch like, ok := n.foreign[r]; {
		case ok:
			out.WriteRune(like)
		case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf): // marks, and what is not seen at all
		default:
			out.WriteRune(r)
		}
	}
	return out.String()
}
