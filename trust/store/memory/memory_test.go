package memory_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/safepull/safepull/trust/store/memory"
	"github.com/safepull/safepull/trust/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(testing.TB) storetest.Store { return memory.New() })
}
