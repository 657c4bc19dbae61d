package cli

import (
	"testing"

	"greenroom/internal/problem"
)

func TestServiceTrouble(t *testing.T) {
	tests := []struct {
		name   string
		states []string
		want   problem.Code // "" for none
	}{
		{"all run", []string{"active", "active"}, ""},
		{"nothing is installed", []string{"not installed", "inactive"}, problem.NotFound},
		{"one has failed", []string{"active", "failed"}, problem.Fail},
		{"one is on its way", []string{"activating"}, problem.Fail},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var v ServiceStatus
			for _, s := range tt.states {
				v.Units = append(v.Units, ServiceUnitStatus{Name: "greenroom.service", State: s})
			}
			err := v.trouble()
			if tt.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || problem.From(err).Code != tt.want || problem.From(err).Hint == "" {
				t.Errorf("got %+v", err)
			}
		})
	}
}
