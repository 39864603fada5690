/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Charts of characters. Braille gives two by four dots a character; without UTF-8 the upper and lower half of each are
 * told apart by ' . and :
 */
#include <inttypes.h>
#include <langinfo.h>
#include <locale.h>
#include <math.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>

#include "base/words.h"
#include "cli/chart.h"

#define HEADING_LINES 3U
#define PLOT_MIN      3U /* rows */

struct dot_cell {
	uint8_t dots;  /* braille bits */
	uint8_t color; /* enum chart_color, of the latest dot; red wins */
	uint8_t line;  /* 1 = a horizontal line crosses here, 2 = a vertical one, 3 = a gap */
	uint8_t line_color;
};

struct canvas {
	const struct chart_terminal *terminal;
	FILE *out;
	unsigned width, height; /* of the plot, in characters */
	unsigned left;          /* columns for the numbers of the y axis */
	struct chart_scale x, y;
	struct dot_cell *cells;
};

void chart_terminal_init(struct chart_terminal *terminal, FILE *out)
{
	const char *term = getenv("TERM");
	struct winsize size = { 0 };
	bool dumb = !term || !*term || !strcmp(term, "dumb");
	locale_t locale = newlocale(LC_CTYPE_MASK, "", (locale_t)0);

	*terminal = (struct chart_terminal){ .width = 80, .height = 24 };
	if (ioctl(fileno(out), TIOCGWINSZ, &size) == 0 && size.ws_col && size.ws_row) {
		terminal->width = size.ws_col;
		terminal->height = size.ws_row;
	}
	terminal->color = isatty(fileno(out)) && !dumb && !getenv("NO_COLOR");
	terminal->utf8 = !dumb && locale && !strcasecmp(nl_langinfo_l(CODESET, locale), "UTF-8");
	if (locale)
		freelocale(locale);
}

static const char *color_code(const struct canvas *canvas, enum chart_color color)
{
	static const char *const codes[CHART_COLORS] = {
		"\033[34m", "\033[33m", "\033[32m", "\033[35m", "\033[36m", "\033[93m", "\033[31m", "\033[90m",
	};

	return canvas->terminal->color ? codes[color] : "";
}

static const char *color_end(const struct canvas *canvas)
{
	return canvas->terminal->color ? "\033[0m" : "";
}

/* dot (0, 0) is the lower left one. */
static void set_dot(struct canvas *canvas, int x, int y, enum chart_color color)
{
	static const uint8_t bits[4][2] = { { 0x40, 0x80 }, { 0x04, 0x20 }, { 0x02, 0x10 }, { 0x01, 0x08 } };
	struct dot_cell *cell;

	if (x < 0 || y < 0 || x >= (int)canvas->width * 2 || y >= (int)canvas->height * 4)
		return;
	cell = &canvas->cells[(canvas->height - 1 - (unsigned)y / 4) * canvas->width + (unsigned)x / 2];
	if (!cell->dots || cell->color != CHART_RED)
		cell->color = (uint8_t)color;
	cell->dots |= bits[y & 3][x & 1];
}

static int dot_x(const struct canvas *canvas, double x)
{
	double dots = canvas->width * 2.0 - 1;

	return (int)lround(fmin(fmax(chart_position(&canvas->x, x), -1), 2) * dots);
}

static int dot_y(const struct canvas *canvas, double y)
{
	double dots = canvas->height * 4.0 - 1;

	return (int)lround(fmin(fmax(chart_position(&canvas->y, y), -1), 2) * dots);
}

/* A straight line of dots, red where it is under the warning level. */
static void draw_segment(struct canvas *canvas, struct chart_point from, struct chart_point to,
			 const struct chart_series *series)
{
	int x0 = dot_x(canvas, from.x), y0 = dot_y(canvas, from.y), x1 = dot_x(canvas, to.x), y1 = dot_y(canvas, to.y);
	int steps = MAX(abs(x1 - x0), abs(y1 - y0)), warn = dot_y(canvas, series->warn_below);

	for (int i = 0; i <= steps; i++) {
		double part = steps ? (double)i / steps : 0;
		int x = x0 + (int)lround(part * (x1 - x0)), y = y0 + (int)lround(part * (y1 - y0));

		if (series->style == CHART_DASHES && (i / 2) & 1)
			continue;
		set_dot(canvas, x, y, series->warn_below > 0 && y < warn ? CHART_RED : series->color);
	}
}

static int draw_series(struct canvas *canvas, const struct chart_series *series)
{
	_cleanup_free_ struct chart_point *owned = NULL;
	const struct chart_point *points;
	size_t n;
	int r = chart_reduce(series, &canvas->x, canvas->width * 2, &points, &n, &owned);

	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++) {
		struct chart_point before = points[i ? i - 1 : 0];

		if (series->style == CHART_POINTS)
			before = points[i];
		if (series->style == CHART_STEPS) {
			struct chart_point corner = { points[i].x, before.y };

			draw_segment(canvas, before, corner, series);
			before = corner;
		}
		draw_segment(canvas, before, points[i], series);
	}
	return 0;
}

static void draw_lines(struct canvas *canvas, const struct chart *chart)
{
	for (size_t i = 0; i < chart->n_lines; i++) {
		const struct chart_line *line = &chart->lines[i];
		int at = line->vertical ? dot_x(canvas, line->at) / 2 : (int)canvas->height - 1 - dot_y(canvas, line->at) / 4;
		unsigned n = line->vertical ? canvas->height : canvas->width;

		if (at < 0 || at >= (int)(line->vertical ? canvas->width : canvas->height))
			continue;
		for (unsigned k = 0; k < n; k++) {
			struct dot_cell *cell = line->vertical ? &canvas->cells[k * canvas->width + (unsigned)at] :
								 &canvas->cells[(unsigned)at * canvas->width + k];

			cell->line = line->vertical ? 2 : 1;
			cell->line_color = (uint8_t)line->color;
		}
	}
	for (size_t i = 0; i < chart->n_markers; i++) {
		int at = dot_x(canvas, chart->markers[i].x) / 2;

		if (chart->markers[i].kind != CHART_MARK_GAP || at < 0 || at >= (int)canvas->width)
			continue;
		for (unsigned k = 0; k < canvas->height; k++) {
			canvas->cells[k * canvas->width + (unsigned)at].line = 3;
			canvas->cells[k * canvas->width + (unsigned)at].line_color = CHART_ORANGE;
		}
	}
}

static void put_utf8(char *buffer, unsigned code)
{
	buffer[0] = (char)(0xe0 | code >> 12);
	buffer[1] = (char)(0x80 | (code >> 6 & 0x3f));
	buffer[2] = (char)(0x80 | (code & 0x3f));
	buffer[3] = '\0';
}

static void print_plot_cell(const struct canvas *canvas, const struct dot_cell *cell, int *color)
{
	static const char *const utf8_lines[] = { " ", "╌", "╎", "┊" }, *const ascii_lines[] = { " ", "-", "|", "!" };
	int wanted = cell->dots ? cell->color : cell->line ? cell->line_color : -1;
	char glyph[4];

	if (wanted != *color)
		fprintf(canvas->out, "%s%s", *color >= 0 ? color_end(canvas) : "",
			wanted >= 0 ? color_code(canvas, (enum chart_color)wanted) : "");
	*color = wanted;
	if (!cell->dots) {
		fputs(canvas->terminal->utf8 ? utf8_lines[cell->line] : ascii_lines[cell->line], canvas->out);
	} else if (canvas->terminal->utf8) {
		put_utf8(glyph, 0x2800U + cell->dots);
		fputs(glyph, canvas->out);
	} else {
		bool upper = cell->dots & 0x1b, lower = cell->dots & 0xe4;

		fputc(upper && lower ? ':' : upper ? '\'' : '.', canvas->out);
	}
}

/* How many bytes of the text fit into so many columns, if possible up to a blank. Not 0 unless the text is empty. */
static size_t fitting(const char *text, unsigned width)
{
	size_t at = 0, blank = 0;

	for (unsigned n = 0; text[at] && n < width; n++) {
		if (text[at] == ' ')
			blank = at;
		for (at++; (text[at] & 0xc0) == 0x80; at++)
			;
	}
	return text[at] && text[at] != ' ' && blank ? blank : at;
}

/* Text for this terminal: escaped, and without UTF-8 where it has none. */
static const char *clean_text(const struct canvas *canvas, const char *text, char *buffer, size_t size)
{
	char *to = escape_text(buffer, size, text);

	if (canvas->terminal->utf8)
		return buffer;
	for (const char *from = buffer; *from; from++)
		if ((*from & 0xc0) != 0x80)
			*to++ = *from & 0x80 ? '?' : *from;
	*to = '\0';
	return buffer;
}

/* Prints a heading in as many lines as it takes, at most so many; only counts them if out is NULL. */
static unsigned print_heading(const struct canvas *canvas, const char *text, bool bold, unsigned most, FILE *out)
{
	char buffer[1024];
	unsigned lines = 0;

	if (!text)
		return 0;
	text = clean_text(canvas, text, buffer, sizeof(buffer));
	while (*text && lines < most) {
		size_t n = fitting(text, canvas->terminal->width);

		if (out)
			fprintf(out, "%s%.*s%s\n", !canvas->terminal->color ? "" : bold ? "\033[1m" : "\033[2m", (int)n, text,
				color_end(canvas));
		lines++;
		text += n;
		while (*text == ' ')
			text++;
	}
	return lines;
}

struct legend {
	const struct canvas *canvas;
	unsigned used;
	unsigned items;
};

static void legend_item(struct legend *legend, enum chart_color color, const char *sign, const char *text)
{
	char escaped[256];
	unsigned width;

	clean_text(legend->canvas, text, escaped, sizeof(escaped));
	width = words_columns(sign) + 1 + words_columns(escaped) + (legend->items ? 3 : 0);
	if (legend->used + width > legend->canvas->terminal->width)
		return;
	fprintf(legend->canvas->out, "%s%s%s%s %s", legend->items ? "   " : "", color_code(legend->canvas, color), sign,
		color_end(legend->canvas), escaped);
	legend->used += width;
	legend->items++;
}

static const char *mark_sign(const struct canvas *canvas, enum chart_mark kind)
{
	static const char *const utf8[CHART_MARKS] = { "●", "▼", "◆", "┊" }, *const ascii[CHART_MARKS] = { "o", "V", "F", "!" };

	return canvas->terminal->utf8 ? utf8[kind] : ascii[kind];
}

static void print_legend(const struct canvas *canvas, const struct chart *chart)
{
	/* The most telling first: what does not fit is left out. */
	bool utf8 = canvas->terminal->utf8;
	struct legend legend = { canvas, 0, 0 };
	char text[64];

	for (size_t i = 0; i < chart->n_lines; i++)
		if (chart->lines[i].label)
			legend_item(&legend, chart->lines[i].color, utf8 ? "╌" : "-", chart->lines[i].label);
	for (size_t i = 0; i < chart->n_markers; i++)
		if (chart->markers[i].kind == CHART_MARK_POINT && chart->markers[i].label)
			legend_item(&legend, chart->markers[i].color, mark_sign(canvas, CHART_MARK_POINT), chart->markers[i].label);
	for (int kind = CHART_MARK_ALARM; kind < CHART_MARKS; kind++)
		if (chart_mark_legend(chart, (enum chart_mark)kind, text, sizeof(text)))
			legend_item(&legend, kind == CHART_MARK_GAP ? CHART_ORANGE : CHART_RED,
				    mark_sign(canvas, (enum chart_mark)kind), text);
	for (size_t i = 0; i < chart->n_series; i++)
		if (chart->series[i].name)
			legend_item(&legend, chart->series[i].color, utf8 ? "━" : "=", chart->series[i].name);
	if (legend.items)
		fputc('\n', canvas->out);
}

/* The row of alarm marks over the plot. */
static void print_marks(const struct canvas *canvas, const struct chart *chart)
{
	_cleanup_free_ char *row = calloc(canvas->width, 1);

	if (!row)
		return;
	for (size_t i = 0; i < chart->n_markers; i++) {
		int at = dot_x(canvas, chart->markers[i].x) / 2;
		enum chart_mark kind = chart->markers[i].kind;

		if ((kind == CHART_MARK_ALARM || kind == CHART_MARK_FOREIGN) && at >= 0 && at < (int)canvas->width)
			row[at] = MAX(row[at], (char)kind);
	}
	fprintf(canvas->out, "%*s%s", (int)canvas->left + 2, "", color_code(canvas, CHART_RED));
	for (unsigned i = 0; i < canvas->width; i++)
		fputs(row[i] ? mark_sign(canvas, (enum chart_mark)row[i]) : " ", canvas->out);
	fprintf(canvas->out, "%s\n", color_end(canvas));
}

static void print_row(const struct canvas *canvas, unsigned row)
{
	bool utf8 = canvas->terminal->utf8;
	char label[32] = "";
	int color = -1;

	for (unsigned i = 0; i < canvas->y.n_ticks; i++)
		if ((int)row == (int)canvas->height - 1 - dot_y(canvas, canvas->y.ticks[i]) / 4)
			chart_tick_label(&canvas->y, canvas->y.ticks[i], label, sizeof(label));
	fprintf(canvas->out, "%*s %s", (int)canvas->left, label, *label ? (utf8 ? "┤" : "+") : (utf8 ? "│" : "|"));
	for (unsigned i = 0; i < canvas->width; i++)
		print_plot_cell(canvas, &canvas->cells[row * canvas->width + i], &color);
	fprintf(canvas->out, "%s\n", color >= 0 ? color_end(canvas) : "");
}

/* The x axis with its ticks, and under it their numbers, as many as there is room for. */
static void print_x_axis(const struct canvas *canvas, const struct chart *chart)
{
	bool utf8 = canvas->terminal->utf8;
	unsigned total = canvas->left + 2 + canvas->width;
	_cleanup_free_ char *ticks = calloc(canvas->width + 1, 1), *numbers = malloc(total + 64);
	unsigned end = 0;

	if (!ticks || !numbers)
		return;
	memset(numbers, ' ', total + 63);
	numbers[total + 63] = '\0';
	for (unsigned i = 0; i < canvas->x.n_ticks; i++) {
		int at = dot_x(canvas, canvas->x.ticks[i]) / 2;
		char label[32];
		unsigned length, from;

		if (at < 0 || at >= (int)canvas->width)
			continue;
		chart_tick_label(&canvas->x, canvas->x.ticks[i], label, sizeof(label));
		length = (unsigned)strlen(label);
		from = canvas->left + 2 + (unsigned)at;
		from -= MIN(from, length / 2);
		from = MIN(from, total - MIN(total, length));
		if (end && from < end + 2)
			continue;
		memcpy(numbers + from, label, length);
		end = from + length;
		ticks[at] = 1;
	}
	fprintf(canvas->out, "%*s %s", (int)canvas->left, "", utf8 ? "└" : "+");
	for (unsigned i = 0; i < canvas->width; i++)
		fputs(ticks[i] ? (utf8 ? "┬" : "+") : (utf8 ? "─" : "-"), canvas->out);
	numbers[end] = '\0';
	fprintf(canvas->out, "\n%s", numbers);
	if (chart->x.label && end + 3 + words_columns(chart->x.label) <= canvas->terminal->width)
		fprintf(canvas->out, "  %s", chart->x.label);
	fputc('\n', canvas->out);
}

int chart_draw_terminal(const struct chart *chart, const struct chart_terminal *terminal, FILE *out)
{
	struct chart_terminal size = { MAX(terminal->width, 20U), MAX(terminal->height, 8U), terminal->color, terminal->utf8 };
	struct canvas canvas = { .terminal = &size, .out = out };
	_cleanup_free_ struct dot_cell *cells = NULL;
	unsigned rows = 2, label_columns = 0, heading;
	bool marks = false;
	char label[256];

	for (size_t i = 0; i < chart->n_markers; i++)
		marks |= chart->markers[i].kind == CHART_MARK_ALARM || chart->markers[i].kind == CHART_MARK_FOREIGN;
	rows += marks + !chart->no_legend;
	/* Headings take more than a line each only from what the plot can spare. */
	heading = MIN(size.height > rows + PLOT_MIN + 2 ? size.height - rows - PLOT_MIN - 1 : 1, HEADING_LINES);
	rows += print_heading(&canvas, chart->subtitle, false, heading, NULL) + !!chart->title;
	canvas.height = MAX(size.height > rows ? size.height - rows : 0, PLOT_MIN);
	chart_scales(chart, MAX(size.width / 12, 2U), MAX(canvas.height / 3, 2U), &canvas.x, &canvas.y);
	for (unsigned i = 0; i < canvas.y.n_ticks; i++)
		canvas.left = MAX(canvas.left, words_columns(chart_tick_label(&canvas.y, canvas.y.ticks[i], label, sizeof(label))));
	if (chart->x.label)
		label_columns = words_columns(chart->x.label) + 2;
	/* The x axis' name stands behind its numbers, if there is room for both. */
	canvas.width = size.width - MIN(size.width, canvas.left + 3);
	if (canvas.width > 30 + label_columns)
		canvas.width -= label_columns;
	canvas.width = MAX(canvas.width, 8U);
	canvas.cells = cells = calloc((size_t)canvas.width * canvas.height, sizeof(*cells));
	if (!cells)
		return -ENOMEM;

	draw_lines(&canvas, chart);
	for (size_t i = 0; i < chart->n_series; i++)
		if (draw_series(&canvas, &chart->series[i]) < 0)
			return -ENOMEM;
	for (size_t i = 0; i < chart->n_markers; i++)
		if (chart->markers[i].kind == CHART_MARK_POINT)
			for (int k = 0; k < 4; k++)
				set_dot(&canvas, dot_x(&canvas, chart->markers[i].x) + (k & 1),
					dot_y(&canvas, chart->markers[i].y) + (k >> 1), chart->markers[i].color);

	print_heading(&canvas, chart->title, true, 1, out);
	print_heading(&canvas, chart->subtitle, false, heading, out);
	if (!chart->no_legend)
		print_legend(&canvas, chart);
	if (marks)
		print_marks(&canvas, chart);
	for (unsigned row = 0; row < canvas.height; row++)
		print_row(&canvas, row);
	print_x_axis(&canvas, chart);
	return 0;
}
