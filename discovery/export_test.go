package discovery

import (
	"context"
	"log/slog"
)

// NewStaticWith makes a Static with a resolver of the test's.
func NewStaticWith(log *slog.Logger, lookup func(ctx context.Context, host string) ([]string, error)) *Static {
	s := NewStatic(log)
	s.lookup = lookup
	return s
}
