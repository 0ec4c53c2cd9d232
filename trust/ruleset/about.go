package ruleset

import (
	"errors"
	"fmt"
	"reflect"
)

// About explains an indicator to people: the block "about" of a rule file. It is no part of the file's meaning.
type About struct {
	// Sign says in half a line what is found.
	Sign string `yaml:"sign" json:"sign"`
	// Means says what it means when it is found, and how it is told from what looks alike.
	Means string `yaml:"means" json:"means"`
	// Matters says why anybody should care.
	Matters string `yaml:"matters" json:"matters"`
	// LookAlikes are honest things that resemble the sign, and what becomes of them.
	LookAlikes []string `yaml:"lookAlikes" json:"lookAlikes"`
}

// Limits on texts of an About, in bytes, so that it is read.
const (
	maxSignText   = 100
	maxText       = 800
	maxLookAlikes = 12
)

// aboutKey is the key of a rule file that every indicator has.
const aboutKey = "about"

// Complete reports what is missing or too long.
func (a About) Complete() error {
	for _, t := range []struct {
		name, text string
		limit      int
	}{{"sign", a.Sign, maxSignText}, {"means", a.Means, maxText}, {"matters", a.Matters, maxText}} {
		if t.text == "" || len(t.text) > t.limit {
			return fmt.Errorf("about: %s must be a text of at most %d bytes and has %d", t.name, t.limit, len(t.text))
		}
	}
	if len(a.LookAlikes) == 0 || len(a.LookAlikes) > maxLookAlikes {
		return fmt.Errorf("about: lookAlikes must name 1 to %d honest things and has %d", maxLookAlikes, len(a.LookAlikes))
	}
	for _, l := range a.LookAlikes {
		if l == "" || len(l) > maxText {
			return fmt.Errorf("about: a look-alike must be a text of at most %d bytes", maxText)
		}
	}
	return nil
}

// withAbout is a pointer to a struct that has the fields of *into beside "about", so that one strict decoder reads both.
func withAbout(into any) (both reflect.Value, err error) {
	t := reflect.TypeOf(into)
	if t == nil || t.Kind() != reflect.Pointer || t.Elem().Kind() != reflect.Struct {
		return reflect.Value{}, errors.New("rules are decoded into a pointer to a struct")
	}
	return reflect.New(reflect.StructOf([]reflect.StructField{
		{Name: "About", Type: reflect.TypeFor[About](), Tag: `yaml:"about"`},
		{Name: "Rules", Type: t.Elem(), Tag: `yaml:",inline"`},
	})), nil
}
