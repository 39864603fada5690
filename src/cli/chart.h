/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Charts: lines over x with thresholds and marks, drawn in a terminal, as SVG, PNG or PDF. What is drawn is described
 * once (struct chart, all borrowed); ranges, ticks and the reduction of long series are the same for every backend.
 *
 * Long series are reduced per pixel column to their first, lowest, highest and last point, which draws what all points
 * would: no dip is lost (Jugel et al., "M4", 2014).
 */
#ifndef IMSAFE_CLI_CHART_H
#define IMSAFE_CLI_CHART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "base/errmsg.h"

enum chart_color {
	CHART_BLUE,
	CHART_ORANGE,
	CHART_GREEN,
	CHART_PURPLE,
	CHART_TEAL,
	CHART_BROWN,
	CHART_RED,
	CHART_GREY,
	CHART_COLORS
};
#define CHART_SERIES_COLORS CHART_RED /* those before it tell series apart */

enum chart_style { CHART_LINE, CHART_STEPS, CHART_DASHES, CHART_POINTS };

struct chart_point {
	double x, y;
};

struct chart_series {
	const char *name;                 /* for the legend; NULL: not in it */
	const struct chart_point *points; /* x never decreases */
	size_t n;
	enum chart_color color;
	enum chart_style style;
	double warn_below;                /* drawn red under this y; 0 = never */
};

/* A straight line across the plot: a threshold, a target. */
struct chart_line {
	double at;
	bool vertical;
	const char *label;
	enum chart_color color;
};

enum chart_mark {
	CHART_MARK_POINT,   /* a dot at (x, y) with its label beside it */
	CHART_MARK_ALARM,   /* at the top, over x */
	CHART_MARK_FOREIGN,
	CHART_MARK_GAP,     /* across the plot at x */
	CHART_MARKS
};

struct chart_marker {
	enum chart_mark kind;
	double x, y;
	const char *label; /* may be NULL */
	enum chart_color color; /* of a POINT */
};

struct chart_axis {
	const char *label;
	const char *unit; /* after the numbers, e.g. "%"; NULL: none, and thousands become k, M, G */
	double min, max;  /* equal: as the data needs */
	bool logarithmic; /* min must be over 0 then, or 0 for the data's */
};

struct chart {
	const char *title, *subtitle; /* text from outside is escaped when drawn */
	struct chart_axis x, y;
	const struct chart_series *series;
	size_t n_series;
	const struct chart_line *lines;
	size_t n_lines;
	const struct chart_marker *markers;
	size_t n_markers;
	bool no_legend;
};

struct chart_terminal {
	unsigned width, height; /* in characters, everything included; at least 20 x 8 */
	bool color, utf8;
};

/* Width and height of the terminal on out (80 x 24 if it is none), colours and UTF-8 as it and the environment allow. */
void chart_terminal_init(struct chart_terminal *terminal, FILE *out);

/* Lines without control sequences other than colours, each ended by a newline. 0 or -ENOMEM. */
int chart_draw_terminal(const struct chart *chart, const struct chart_terminal *terminal, FILE *out);

enum chart_format { CHART_FORMAT_NONE, CHART_SVG, CHART_PNG, CHART_PDF };

/* By the end of the name, any case; CHART_FORMAT_NONE if it says nothing. */
enum chart_format chart_format_of(const char *path);

/*
 * Draws into a file ("-": stdout), complete or not at all; width and height in points (PNG: two pixels each), 0 = 1200 x 480.
 * -EOPNOTSUPP with a clear message if this build has no cairo.
 */
int chart_write(const struct chart *chart, const char *path, enum chart_format format, unsigned width, unsigned height,
		struct errmsg *err);

/*
 * Keeps a series of any length in bounded memory: points arrive with x never decreasing and fall into buckets, which
 * become twice as wide whenever they would be too many. Each keeps its first, lowest, highest and last point.
 */
struct chart_bucket {
	struct chart_point first, low, high, last;
	bool used;
};

struct chart_reducer {
	struct chart_bucket *buckets;
	size_t limit;
	double start, width;
	bool started, fixed;
};

int chart_reducer_init(struct chart_reducer *reducer, size_t buckets); /* rounded up to an even number; -ENOMEM */
void chart_reducer_done(struct chart_reducer *reducer);
void chart_reducer_add(struct chart_reducer *reducer, double x, double y);
/* The points kept, in order; the caller frees them. */
int chart_reducer_points(const struct chart_reducer *reducer, struct chart_point **ret_points, size_t *ret_n);

/* For the backends. */

#define CHART_TICKS_MAX 16

struct chart_scale {
	double min, max, step;
	bool logarithmic;
	const char *unit;
	double ticks[CHART_TICKS_MAX];
	unsigned n_ticks;
};

/* The axes' final ranges with at most so many ticks each. */
void chart_scales(const struct chart *chart, unsigned x_ticks, unsigned y_ticks, struct chart_scale *ret_x,
		  struct chart_scale *ret_y);
double chart_position(const struct chart_scale *scale, double value); /* 0 at min, 1 at max; outside it goes on */
const char *chart_tick_label(const struct chart_scale *scale, double value, char *buffer, size_t size);

/* Points to draw for a plot so many columns wide; *ret_points is the series' own or *ret_owned, which the caller frees. */
int chart_reduce(const struct chart_series *series, const struct chart_scale *x, unsigned columns,
		 const struct chart_point **ret_points, size_t *ret_n, struct chart_point **ret_owned);

/* How many marks of a kind, and what the legend says of them: "2 alarms"; NULL if there are none. */
const char *chart_mark_legend(const struct chart *chart, enum chart_mark kind, char *buffer, size_t size);

#endif
