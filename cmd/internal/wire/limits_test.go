package wire

import (
	"reflect"
	"testing"

	"github.com/safepull/safepull/proxy/config"
	"github.com/safepull/safepull/trust/scan"
)

// Every limit of the configuration reaches the inspection: a key that did nothing would be a promise that is not kept.
func TestEveryLimitIsPassedOn(t *testing.T) {
	t.Parallel()
	for i := range reflect.TypeFor[config.Limits]().NumField() {
		var l config.Limits
		field := reflect.ValueOf(&l).Elem().Field(i)
		field.SetInt(7)
		if s := judgedFrom(config.Config{Judge: config.Judge{Limits: l}}); s.limits == (scan.Limits{}) && s.image == 0 && s.artifact == 0 {
			t.Errorf("judge.limits: %s is not passed on", reflect.TypeFor[config.Limits]().Field(i).Name)
		}
	}
}
