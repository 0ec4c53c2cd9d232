package closure

import (
	"path"
	"regexp"
	"slices"
	"strings"
)

// maxPasswords bounds the passwords of an image: each is tried on each archive that it may be meant for.
const maxPasswords = 64

// opensArchives are programs that take passwords of archives.
var opensArchives = wordSet("unzip zip bsdtar 7z 7za 7zr 7zz unrar rar unar openssl gpg ccrypt ccdecrypt age mcrypt")

// passwords finds literal passwords in the arguments of programs that open archives.
func (st *script) passwords(base string, args []string) {
	var secrets, files []string
	take := func(s string) { secrets = append(secrets, s) }
	next := func(i int) string {
		if i+1 < len(args) {
			return plainText(args[i+1])
		}
		return ""
	}
	for i, a := range args {
		plain := plainText(a)
		switch base {
		case "unzip", "zip", "bsdtar":
			switch {
			case plain == "-P" || plain == "--passphrase":
				take(next(i))
			case strings.HasPrefix(plain, "-P") && len(plain) > 2:
				take(plain[2:])
			}
		case "7z", "7za", "7zr", "7zz", "unrar", "rar", "unar":
			switch {
			case plain == "-p" || plain == "-password":
				take(next(i))
			case strings.HasPrefix(plain, "-p"):
				take(plain[2:])
			}
		case "openssl", "gpg", "ccrypt", "ccdecrypt", "age", "mcrypt":
			switch {
			case plain == "-k" || plain == "-K" || plain == "--passphrase":
				take(next(i))
			case strings.HasPrefix(plain, "pass:"):
				take(plain[len("pass:"):])
			}
		default:
			return
		}
		files = append(files, plain)
	}
	st.open(secrets, files)
}

// passwordCall is how libraries of Python open archives: extractall(pwd=b'…'), setpassword("…"), SevenZipFile(…, password='…').
var passwordCall = regexp.MustCompile(`(?:\b(?:pwd|password|passphrase)\s*=\s*|\bsetpassword\s*\(\s*)[bru]{0,2}["']([^"'\n]{1,128})["']`)

// archiveName is a string that names an archive.
var archiveName = regexp.MustCompile(`["']([^"'\n]{1,512}\.(?i:zip|7z|rar|tar|gz|tgz|bz2|xz|zst|enc|bin|dat|jar|whl|egg))["']`)

func (st *script) passwordCalls(body string) {
	var secrets, files []string
	for _, m := range passwordCall.FindAllStringSubmatch(body, maxPasswords) {
		secrets = append(secrets, m[1])
	}
	if len(secrets) == 0 {
		return
	}
	for _, m := range archiveName.FindAllStringSubmatch(body, maxPasswords) {
		files = append(files, m[1])
	}
	st.open(secrets, files)
}

// open notes the passwords for each of files that the image has.
func (st *script) open(secrets, files []string) {
	x := st.x
	if len(secrets) == 0 {
		return
	}
	dirs := appendNew(append([]string{}, st.dirs...), st.self())
	for _, name := range files {
		if name == "" || strings.HasPrefix(name, "-") && !strings.Contains(name, "/") {
			continue
		}
		w := want{level: st.level, dirs: dirs}
		found := x.find(name, w)
		if path.Ext(name) == "" {
			found = append(found, x.find(name+".zip", w)...)
		}
		for _, f := range found {
			x.mark(f.file, f.place)
			for _, s := range secrets {
				p := Password{Archive: f.file, Password: s}
				if s == "" || strings.ContainsRune(s, 0) || slices.Contains(x.out.Passwords, p) {
					continue
				}
				if len(x.out.Passwords) == maxPasswords {
					x.giveUp("scripts open archives with too many passwords")
					return
				}
				x.out.Passwords = append(x.out.Passwords, p)
			}
		}
	}
}
