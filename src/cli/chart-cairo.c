/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Charts as SVG, PNG and PDF files. */
#include "cli/chart.h"

#ifdef HAVE_CAIRO

#include <cairo-pdf.h>
#include <cairo-svg.h>
#include <cairo.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>

#define PIXELS_PER_POINT 2.0 /* PNG: sharp on dense screens, too */

struct paper {
	cairo_t *cr;
	double width, height;
	double left, top, right, bottom; /* the plot's edges */
	struct chart_scale x, y;
};

static const double colors[CHART_COLORS][3] = {
	{ .11, .44, .85 }, { .90, .49, .02 }, { .15, .58, .24 }, { .57, .28, .70 },
	{ .05, .59, .62 }, { .55, .38, .22 }, { .78, .10, .14 }, { .47, .47, .49 },
};

static void set_color(const struct paper *p, enum chart_color color, double alpha)
{
	cairo_set_source_rgba(p->cr, colors[color][0], colors[color][1], colors[color][2], alpha);
}

static void set_grey(const struct paper *p, double grey)
{
	cairo_set_source_rgb(p->cr, grey, grey, grey);
}

static void set_font(const struct paper *p, double size, bool bold)
{
	cairo_select_font_face(p->cr, "DejaVu Sans", CAIRO_FONT_SLANT_NORMAL, bold ? CAIRO_FONT_WEIGHT_BOLD : CAIRO_FONT_WEIGHT_NORMAL);
	cairo_set_font_size(p->cr, size);
}

static double text_width(const struct paper *p, const char *text)
{
	cairo_text_extents_t extents;

	cairo_text_extents(p->cr, text, &extents);
	return extents.x_advance;
}

/* Cuts text, escaped already, until it fits. */
static void fit_text(const struct paper *p, char *text, double width)
{
	size_t n = strlen(text);

	while (n > 4 && text_width(p, text) > width) {
		n -= 4;
		while (n && (text[n] & 0xc0) == 0x80)
			n--;
		memcpy(text + n, "...", 4);
		n += 3;
	}
}

/* align: 0 = x is the left end, 0.5 the middle, 1 the right end. */
static void put_text(const struct paper *p, double x, double y, double align, const char *text)
{
	cairo_move_to(p->cr, x - align * text_width(p, text), y);
	cairo_show_text(p->cr, text);
}

static double at_x(const struct paper *p, double x)
{
	return p->left + fmin(fmax(chart_position(&p->x, x), -2), 3) * (p->right - p->left);
}

static double at_y(const struct paper *p, double y)
{
	return p->bottom - fmin(fmax(chart_position(&p->y, y), -2), 3) * (p->bottom - p->top);
}

static void draw_title(const struct paper *p, const struct chart *chart)
{
	char text[1024];

	if (chart->title) {
		set_font(p, 17, true);
		set_grey(p, .13);
		escape_text(text, sizeof(text), chart->title);
		fit_text(p, text, p->width - 40);
		put_text(p, 20, 30, 0, text);
	}
	if (chart->subtitle) {
		set_font(p, 12, false);
		set_grey(p, .42);
		escape_text(text, sizeof(text), chart->subtitle);
		fit_text(p, text, p->width - 40);
		put_text(p, 20, chart->title ? 50 : 26, 0, text);
	}
}

static void draw_axes(const struct paper *p, const struct chart *chart)
{
	cairo_t *cr = p->cr;
	char label[64];

	cairo_rectangle(cr, p->left, p->top, p->right - p->left, p->bottom - p->top);
	set_grey(p, .985);
	cairo_fill(cr);
	set_font(p, 12, false);
	cairo_set_line_width(cr, 1);
	for (unsigned i = 0; i < p->y.n_ticks; i++) {
		double y = floor(at_y(p, p->y.ticks[i])) + .5;

		set_grey(p, .88);
		cairo_move_to(cr, p->left, y);
		cairo_line_to(cr, p->right, y);
		cairo_stroke(cr);
		set_grey(p, .3);
		put_text(p, p->left - 8, y + 4, 1, chart_tick_label(&p->y, p->y.ticks[i], label, sizeof(label)));
	}
	for (unsigned i = 0; i < p->x.n_ticks; i++) {
		double x = floor(at_x(p, p->x.ticks[i])) + .5;

		set_grey(p, .6);
		cairo_move_to(cr, x, p->bottom);
		cairo_line_to(cr, x, p->bottom + 5);
		cairo_stroke(cr);
		set_grey(p, .3);
		chart_tick_label(&p->x, p->x.ticks[i], label, sizeof(label));
		x = fmin(x, p->width - 6 - text_width(p, label) / 2);
		put_text(p, x, p->bottom + 19, .5, label);
	}
	set_grey(p, .6);
	cairo_move_to(cr, p->left, floor(p->bottom) + .5);
	cairo_line_to(cr, p->right, floor(p->bottom) + .5);
	cairo_stroke(cr);
	set_grey(p, .42);
	if (chart->x.label)
		put_text(p, (p->left + p->right) / 2, p->bottom + 38, .5, chart->x.label);
	if (chart->y.label) {
		cairo_save(cr);
		cairo_translate(cr, 20, (p->top + p->bottom) / 2);
		cairo_rotate(cr, -M_PI / 2);
		put_text(p, 0, 0, .5, chart->y.label);
		cairo_restore(cr);
	}
}

static void clip_band(const struct paper *p, double from_y, double to_y)
{
	cairo_rectangle(p->cr, p->left - 1, from_y, p->right - p->left + 2, to_y - from_y);
	cairo_clip(p->cr);
}

static void stroke_path(const struct paper *p, cairo_path_t *path, enum chart_color color, double from_y, double to_y)
{
	cairo_save(p->cr);
	clip_band(p, from_y, to_y);
	cairo_append_path(p->cr, path);
	set_color(p, color, 1);
	cairo_stroke(p->cr);
	cairo_restore(p->cr);
}

static void draw_dots(const struct paper *p, const struct chart_series *series, const struct chart_point *points, size_t n)
{
	set_color(p, series->color, 1);
	for (size_t i = 0; i < n; i++) {
		cairo_arc(p->cr, at_x(p, points[i].x), at_y(p, points[i].y), 2.5, 0, 2 * M_PI);
		cairo_fill(p->cr);
	}
}

static int draw_series(const struct paper *p, const struct chart_series *series)
{
	static const double dashes[] = { 6, 4 };
	_cleanup_free_ struct chart_point *owned = NULL;
	const struct chart_point *points;
	double warn = at_y(p, series->warn_below);
	cairo_path_t *path;
	size_t n;
	int r = chart_reduce(series, &p->x, (unsigned)((p->right - p->left) * PIXELS_PER_POINT), &points, &n, &owned);

	if (r < 0)
		return r;
	if (series->style == CHART_POINTS) {
		draw_dots(p, series, points, n);
		return 0;
	}
	cairo_new_path(p->cr);
	for (size_t i = 0; i < n; i++) {
		if (i && series->style == CHART_STEPS)
			cairo_line_to(p->cr, at_x(p, points[i].x), at_y(p, points[i - 1].y));
		cairo_line_to(p->cr, at_x(p, points[i].x), at_y(p, points[i].y));
	}
	path = cairo_copy_path(p->cr);
	cairo_new_path(p->cr);
	cairo_set_line_width(p->cr, owned ? 1 : 1.6);
	cairo_set_line_join(p->cr, CAIRO_LINE_JOIN_ROUND);
	if (series->style == CHART_DASHES)
		cairo_set_dash(p->cr, dashes, 2, 0);
	if (series->warn_below > 0 && warn > p->top - 2 && warn < p->bottom) {
		stroke_path(p, path, series->color, p->top - 2, warn);
		stroke_path(p, path, CHART_RED, warn, p->bottom + 2);
	} else {
		stroke_path(p, path, series->color, p->top - 2, p->bottom + 2);
	}
	cairo_set_dash(p->cr, NULL, 0, 0);
	cairo_path_destroy(path);
	return 0;
}

/* Text over the plot, with a light edge so that lines behind it do not disturb. */
static void put_label(const struct paper *p, double x, double y, double align, enum chart_color color, const char *label)
{
	char text[256];

	set_font(p, 12, false);
	escape_text(text, sizeof(text), label);
	cairo_move_to(p->cr, x - align * text_width(p, text), y);
	cairo_text_path(p->cr, text);
	cairo_set_source_rgba(p->cr, 1, 1, 1, .85);
	cairo_set_line_width(p->cr, 4);
	cairo_stroke_preserve(p->cr);
	set_color(p, color, 1);
	cairo_fill(p->cr);
}

static void draw_lines(const struct paper *p, const struct chart *chart)
{
	static const double dashes[] = { 7, 4 };

	for (size_t i = 0; i < chart->n_lines; i++) {
		const struct chart_line *line = &chart->lines[i];
		double x = at_x(p, line->at), y = at_y(p, line->at);

		if (line->vertical ? x < p->left || x > p->right : y < p->top || y > p->bottom)
			continue;
		cairo_set_dash(p->cr, dashes, 2, 0);
		cairo_set_line_width(p->cr, 1.3);
		set_color(p, line->color, 1);
		cairo_move_to(p->cr, line->vertical ? x : p->left, line->vertical ? p->top : y);
		cairo_line_to(p->cr, line->vertical ? x : p->right, line->vertical ? p->bottom : y);
		cairo_stroke(p->cr);
		cairo_set_dash(p->cr, NULL, 0, 0);
		/* At the left and below: what is normal lies above a threshold, and what is new at the right. */
		if (line->label)
			put_label(p, line->vertical ? x + 5 : p->left + 8,
				  line->vertical ? p->top + 14 : y + (y + 24 < p->bottom ? 18 : -6), 0, line->color, line->label);
	}
}

static void draw_mark(const struct paper *p, const struct chart_marker *mark, double *last_label)
{
	double x = at_x(p, mark->x), y = at_y(p, mark->y), top = p->top - 12;
	cairo_t *cr = p->cr;

	if (x < p->left - 1 || x > p->right + 1)
		return;
	if (mark->kind == CHART_MARK_POINT) {
		cairo_arc(cr, x, y, 4.5, 0, 2 * M_PI);
		set_color(p, mark->color, 1);
		cairo_fill_preserve(cr);
		cairo_set_source_rgb(cr, 1, 1, 1);
		cairo_set_line_width(cr, 1.2);
		cairo_stroke(cr);
		if (mark->label)
			put_label(p, x + 9, y + 16, 0, mark->color, mark->label);
		return;
	}
	set_color(p, mark->kind == CHART_MARK_GAP ? CHART_ORANGE : CHART_RED, mark->kind == CHART_MARK_GAP ? .55 : .35);
	cairo_set_line_width(cr, mark->kind == CHART_MARK_GAP ? 2 : 1);
	cairo_move_to(cr, x, p->top);
	cairo_line_to(cr, x, p->bottom);
	cairo_stroke(cr);
	if (mark->kind == CHART_MARK_GAP)
		return;
	set_color(p, CHART_RED, 1);
	if (mark->kind == CHART_MARK_FOREIGN) { /* a diamond */
		cairo_move_to(cr, x, top + 12);
		cairo_line_to(cr, x + 6, top + 6);
		cairo_line_to(cr, x, top);
		cairo_line_to(cr, x - 6, top + 6);
	} else {
		cairo_move_to(cr, x, top + 11);
		cairo_line_to(cr, x - 6, top + 1);
		cairo_line_to(cr, x + 6, top + 1);
	}
	cairo_close_path(cr);
	cairo_fill(cr);
	if (mark->label) {
		set_font(p, 11, false);
		if (x - text_width(p, mark->label) / 2 > *last_label + 4) {
			put_text(p, x, top - 4, .5, mark->label);
			*last_label = x + text_width(p, mark->label) / 2;
		}
	}
}

static void legend_item(const struct paper *p, double *x, enum chart_color color, bool dashed, const char *name)
{
	static const double dashes[] = { 5, 3 };
	char text[256];
	double width;

	escape_text(text, sizeof(text), name);
	set_font(p, 12, false);
	width = text_width(p, text) + 30;
	if (*x - width < p->left)
		return;
	*x -= width;
	set_color(p, color, 1);
	cairo_set_line_width(p->cr, 2.2);
	if (dashed)
		cairo_set_dash(p->cr, dashes, 2, 0);
	cairo_move_to(p->cr, *x, p->height - 14);
	cairo_line_to(p->cr, *x + 20, p->height - 14);
	cairo_stroke(p->cr);
	cairo_set_dash(p->cr, NULL, 0, 0);
	set_grey(p, .3);
	put_text(p, *x + 26, p->height - 10, 0, text);
	*x -= 18;
}

/* At the right under the plot; what has its name in the plot already (lines, points) is not repeated. */
static void draw_legend(const struct paper *p, const struct chart *chart)
{
	double x = p->right;
	char text[64];

	for (int kind = CHART_MARKS - 1; kind >= CHART_MARK_ALARM; kind--)
		if (chart_mark_legend(chart, (enum chart_mark)kind, text, sizeof(text))) {
			set_font(p, 12, false);
			x -= text_width(p, text) + 18;
			set_color(p, kind == CHART_MARK_GAP ? CHART_ORANGE : CHART_RED, 1);
			if (kind == CHART_MARK_GAP) {
				cairo_rectangle(p->cr, x + 3, p->height - 20, 2, 12);
			} else {
				cairo_move_to(p->cr, x, kind == CHART_MARK_ALARM ? p->height - 19 : p->height - 14);
				cairo_line_to(p->cr, x + 5, p->height - (kind == CHART_MARK_ALARM ? 9 : 8));
				cairo_line_to(p->cr, x + 10, kind == CHART_MARK_ALARM ? p->height - 19 : p->height - 14);
				if (kind == CHART_MARK_FOREIGN)
					cairo_line_to(p->cr, x + 5, p->height - 20);
				cairo_close_path(p->cr);
			}
			cairo_fill(p->cr);
			set_grey(p, .3);
			put_text(p, x + 15, p->height - 10, 0, text);
			x -= 18;
		}
	for (size_t i = chart->n_series; i--;)
		if (chart->series[i].name)
			legend_item(p, &x, chart->series[i].color, chart->series[i].style == CHART_DASHES, chart->series[i].name);
}

static int draw(cairo_t *cr, const struct chart *chart, double width, double height)
{
	struct paper p = { .cr = cr, .width = width, .height = height };
	double last_label = -1000;
	char label[64];

	cairo_set_source_rgb(cr, 1, 1, 1);
	cairo_paint(cr);
	p.top = (chart->title ? 44 : 20) + (chart->subtitle ? 20 : 0) + (chart->n_markers ? 22 : 0);
	p.bottom = height - 62;
	p.right = width - 26;
	chart_scales(chart, (unsigned)fmax(width / 90, 2), (unsigned)fmax((p.bottom - p.top) / 38, 2), &p.x, &p.y);
	set_font(&p, 12, false);
	for (unsigned i = 0; i < p.y.n_ticks; i++)
		p.left = fmax(p.left, text_width(&p, chart_tick_label(&p.y, p.y.ticks[i], label, sizeof(label))));
	p.left += 18 + (chart->y.label ? 22 : 0);

	draw_title(&p, chart);
	draw_axes(&p, chart);
	for (size_t i = 0; i < chart->n_markers; i++)
		if (chart->markers[i].kind != CHART_MARK_POINT)
			draw_mark(&p, &chart->markers[i], &last_label);
	for (size_t i = 0; i < chart->n_series; i++)
		if (draw_series(&p, &chart->series[i]) < 0)
			return -ENOMEM;
	draw_lines(&p, chart);
	for (size_t i = 0; i < chart->n_markers; i++)
		if (chart->markers[i].kind == CHART_MARK_POINT)
			draw_mark(&p, &chart->markers[i], &last_label);
	if (!chart->no_legend)
		draw_legend(&p, chart);
	cairo_show_page(cr);
	return cairo_status(cr) == CAIRO_STATUS_SUCCESS ? 0 : -ENOMEM;
}

static cairo_status_t write_chunk(void *closure, const unsigned char *data, unsigned length)
{
	return fwrite(data, 1, length, closure) == length ? CAIRO_STATUS_SUCCESS : CAIRO_STATUS_WRITE_ERROR;
}

static int draw_file(const struct chart *chart, enum chart_format format, double width, double height, FILE *out)
{
	cairo_surface_t *surface;
	cairo_t *cr;
	int r;

	switch (format) {
	case CHART_SVG:
		surface = cairo_svg_surface_create_for_stream(write_chunk, out, width, height);
		break;
	case CHART_PDF:
		surface = cairo_pdf_surface_create_for_stream(write_chunk, out, width, height);
		break;
	default:
		surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24, (int)(width * PIXELS_PER_POINT),
						     (int)(height * PIXELS_PER_POINT));
		cairo_surface_set_device_scale(surface, PIXELS_PER_POINT, PIXELS_PER_POINT);
		break;
	}
	cr = cairo_create(surface);
	r = draw(cr, chart, width, height);
	cairo_destroy(cr);
	errno = 0; /* of write_chunk() */
	if (format == CHART_PNG && !r && cairo_surface_write_to_png_stream(surface, write_chunk, out) != CAIRO_STATUS_SUCCESS)
		r = errno ? -errno : -EIO;
	cairo_surface_finish(surface);
	if (!r && cairo_surface_status(surface) != CAIRO_STATUS_SUCCESS)
		r = errno ? -errno : -EIO;
	cairo_surface_destroy(surface);
	if (fflush(out) == EOF)
		return -errno;
	return r;
}

int chart_write(const struct chart *chart, const char *path, enum chart_format format, unsigned width, unsigned height,
		struct errmsg *err)
{
	_cleanup_fclose_ FILE *file = NULL;
	char part[4096];
	struct stat st;
	int r;

	width = width ? width : 1200;
	height = height ? height : 480;
	if (!strcmp(path, "-")) {
		r = draw_file(chart, format, width, height, stdout);
		return r < 0 ? errmsg_errno(err, r, "standard output", "cannot write the chart") : 0;
	}
	/* A pipe or device is written to, not replaced. */
	if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
		file = S_ISDIR(st.st_mode) ? NULL : fopen(path, "we");
		r = file ? draw_file(chart, format, width, height, file) : S_ISDIR(st.st_mode) ? -EISDIR : -errno;
		return r < 0 ? errmsg_errno(err, r, path, "cannot write the chart") : 0;
	}
	if (snprintf(part, sizeof(part), "%s.part", path) >= (int)sizeof(part))
		return errmsg_errno(err, -ENAMETOOLONG, path, "cannot write the chart");
	file = fopen(part, "we");
	if (!file) {
		r = -errno;
		return errmsg_errno(err, r, path, "cannot write the chart");
	}
	r = draw_file(chart, format, width, height, file);
	if (!r && rename(part, path) < 0)
		r = -errno;
	if (r < 0) {
		unlink(part);
		return errmsg_errno(err, r, path, "cannot write the chart");
	}
	return 0;
}

#else

int chart_write(const struct chart *chart, const char *path, enum chart_format format, unsigned width, unsigned height,
		struct errmsg *err)
{
	return errmsg_set(err, -EOPNOTSUPP, path, 0,
			  "this build draws in the terminal only: files need cairo (install libcairo2-dev, build with -Dplots=enabled)");
}

#endif
