package trust

// Decision is what a policy makes of evidence, with the whole computation.
type Decision struct {
	Action Action `json:"action"`
	// Reasons is empty in a verdict, which has them itself.
	Reasons []string `json:"reasons,omitempty"`
	// Called is the action that the evidence calls for, where the policy's mode makes it milder; else empty.
	Called Action `json:"called,omitempty"`
	// Mode is "enforce", "warn" or "monitor", and Scope the pattern of names that it is said for, if it is.
	Mode  string `json:"mode"`
	Scope string `json:"scope,omitempty"`
	// Contact is whom the policy says to ask.
	Contact string `json:"contact,omitempty"`
	// Rules are the names of the policy's rules that decided, in their order; empty where none applied.
	Rules []string `json:"rules,omitempty"`
	// Weights are what counted in the sum of points, weightiest group first; Sum is that sum.
	Weights []Weight `json:"weights,omitempty"`
	Sum     float64  `json:"sum"`
	// Changes are what would change the action, each found out by deciding again; where it is Allow, there are none.
	Changes []Change `json:"changes,omitempty"`
}

// Weight is what a check's weightiest finding weighs.
type Weight struct {
	// Finding is the number of the finding in the evidence, counted from 0.
	Finding int    `json:"finding"`
	Group   string `json:"group"`
	// Points are those of the finding by itself, Counted what of them is in the group's points.
	Points  float64 `json:"points"`
	Counted float64 `json:"counted"`
}

// Change says what the action would be if something were otherwise.
type Change struct {
	If string `json:"if"`
	// Then is empty where only an inspection could tell.
	Then Action `json:"then,omitempty"`
}
