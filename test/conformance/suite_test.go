package main

import (
	"fmt"
	"testing"
)

func TestParse(t *testing.T) {
	t.Parallel()
	got := parse("Test results\n" +
		"OCI Conformance Test: FAIL\n" +
		"  OCI Conformance Test/ping: Pass\n" +
		"  OCI Conformance Test/empty: FAIL\n" +
		"    OCI Conformance Test/empty/tag list: FAIL\n" +
		"    OCI Conformance Test/empty/referrers: Pass\n" +
		"    OCI Conformance Test/empty/referrers: Pass\n" +
		"  OCI Conformance Test/sha256 blobs: Disabled\n" +
		"  registry: 127.0.0.1:5000\n" +
		"Tag listing...: Pass\n")
	if s := fmt.Sprint(got); s != "[{ping Pass} {empty/tag_list FAIL} {empty/referrers Pass} {empty/referrers#2 Pass} {sha256_blobs Disabled}]" {
		t.Error(s)
	}
}
