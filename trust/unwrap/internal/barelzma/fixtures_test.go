package barelzma_test

import "github.com/safepull/safepull/trust/unwrap/internal/barelzma"

// The fixtures are bare LZMA streams of the text of this package's tests, as liblzma makes them; each ends with a marker.
var fixtures = []fixture{
	{"usual", barelzma.Properties{LiteralContext: 3, LiteralPosition: 0, Position: 2}, 0,
		"ADYaSh8IoCYDTQad7+2MoT/IOM9thS+aaJmfL/bA0qMCNuh6OiCgYDIHBpoIFkiDiTMxha7TE72HOXcbSz5Q/PWSolv9X03WxtYCeCbpZheC7YY3aJMZZnzL" +
			"lXnFJjgSg5PQVPtA5I2LPDlLM+2BubPdeVVVMhazfd84KVsxEMqv0uzg182KDBbZaJsKtIXUkGqjqiBLoMDIgMb3ZEYx6ndkjlucYHltMFga2c+JqxxAYsX8" +
			"q3uWFnZzTLN2GRKz2bEbB6esF2bITuTXbdXTATRuYGGhg8g6RqUMfSB+hXATMC4UQDZI4G3eHjPidEcbQogsJA4+VvQ3/kYrCDkKUk6f6/WSCBuSF4shz4Xo" +
			"5ihciuIHmoEZo//2SF7C"},
	{"positions", barelzma.Properties{LiteralContext: 0, LiteralPosition: 4, Position: 4}, 0,
		"ADYaScZRAMBAbzMIDCIDoZTwdIQ/k7m7c/naYs+0Jc1u0Aj2s+RYBnnIr+M615vaUDSSXnQaKnaq2dD5APJ13kPdh4Z/uenD/3QH6wNZkGM1v4o1GRAs8r1r" +
			"VAVZiJxtQbhgS0t2B8J6yD1lDu3+8NIR8cERUjkU0EX2zBVNxAvNmEPbUIPA3p17srEsFeyYPKSgFIXk1bhy6b7adM2WjgvhnIeELFxm7mMpFiU60DCr4gm4" +
			"pbZI61jkj7pfGogFxvJSs1aQDckc5lAcd6C3HpY76TRCK06y6pkrG3jN8RIKXP9t+P3VKjP7HlqKQszI7vyE2fuM+GtnNy3zrj1nSZTTEVc7u9vQsmp45GIO" +
			"NJ5ivNo7a9bPk0t2b8YR7tulqXNqk8cj3XKXwGUzkAR7kKHSi7UWyUVLgIr7QIGQD5eM/xglF+i4amuaz6+l0nDZ3jZy2Iw5l9NH8EadW/9uxgYA"},
	{"contexts", barelzma.Properties{LiteralContext: 4, LiteralPosition: 0, Position: 0}, 0,
		"ADYbHXYTSXVq223JNyiFFYMWxiGlu1gIAW5d/EW3GgNMUurr/5jeKYWGIRYUKxYH3xwbjn2rdLMepMWrTZflgISjxPqKxqyX05NNaJfR2bMFdC6WYgNoYaKh" +
			"h5ZvcBmSvXGS70vexLkMcyexU+Gzz0J7nZoXY3SVKIYnoYZrqEci26DefqY1RcbfynQ9mJnHIA1P3/ph8Y0aTaSQ5OmuB4pSbG9Lp2gWNhfnyJen3Y2xLNJW" +
			"f3du67gkU9rGk0YdYGo7fOIHB5XHNJJJgQu9U0ZOT1YykkUVtCck4yEsxBcif2enKt8kJ1wQGi+JD9A5NwNkMfZcdAW6flhrHD5iLw8wN27G81K5ybZYYj66" +
			"kdEHHcy3UBrzAklpCaIy//JLGgA="},
	{"zeros", barelzma.Properties{LiteralContext: 3, LiteralPosition: 0, Position: 2}, 300000,
		"AABv/f//o7f/Rz5IFXI5YVG4kijmo4YH+e7kHoLTL8U6PAFLsX7JiopNL6MN2X+m44wjEVPgWRjFdYrid/i2lH8MasDedElk4ulcU7IE2PdEDKtfDW1G6eXD" +
			"doi3llestk3haR1v+0uIEGw1jE8AI///8siAAA=="},
}
