/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/live-view.h"

#include <inttypes.h>
#include <string.h>
#include <termios.h>

#include "base/clock.h"
#include "base/words.h"
#include "cli/chart.h"

#define GROUPS_SHOWN_MAX 128
#define MARKS_MAX  256
#define ZOOM_MIN   128
#define ZOOM_FIRST 16384 /* it grows to this by itself */
#define GRAPH_MIN  8 /* rows */
#define LEAVE_FULL 3 /* groups whose alarm is printed in full at the end, the latest ones */

struct shown_group {
	uint64_t group, count, number; /* the latest alarm's */
	char *headline, *text, *line;
	time_t time;
};

struct mark {
	uint64_t at; /* calls in the ring when it came */
	enum chart_mark kind;
};

struct live_view {
	struct live_view_config config;
	struct termios before;
	bool raw;
	struct live_ring ring;
	struct shown_group groups[GROUPS_SHOWN_MAX]; /* the one with the latest alarm last */
	unsigned n_groups;
	uint64_t n_alarms;
	struct mark marks[MARKS_MAX]; /* a ring, too: alarms and gaps */
	uint64_t n_marks;
	struct chart_terminal terminal;
	unsigned zoom;        /* calls in the graph */
	bool zoomed;          /* somebody chose it: else it grows with the calls */
	unsigned chosen;      /* 0 = the group with the latest alarm */
	bool reading;         /* one alarm fills the screen */
	unsigned scroll;
	double started, rated; /* clock_seconds() */
	uint64_t rated_calls;
	double rate;
	char escape[8];       /* a key's sequence so far */
	size_t n_escape;
	struct chart_point points[LIVE_VIEW_CALLS];
};

bool live_view_possible(void)
{
	const char *term = getenv("TERM");

	return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && term && *term && strcmp(term, "dumb");
}

/* On the alternate screen without a cursor; no line wraps, so that a narrow window only cuts. */
static void screen_on(void)
{
	fputs("\033[?1049h\033[?25l\033[?7l\033[2J", stdout);
	fflush(stdout);
}

static void screen_off(void)
{
	fputs("\033[0m\033[?7h\033[?25h\033[?1049l", stdout);
	fflush(stdout);
}

static int make_raw(struct live_view *view)
{
	struct termios raw;

	if (tcgetattr(STDIN_FILENO, &view->before) < 0)
		return -errno;
	raw = view->before;
	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO); /* signals from the keyboard stay */
	raw.c_cc[VMIN] = 0;
	raw.c_cc[VTIME] = 0;
	if (tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) < 0)
		return -errno;
	view->raw = true;
	return 0;
}

int live_view_open(const struct live_view_config *config, struct live_view **ret_view)
{
	_cleanup_free_ struct live_view *view = calloc(1, sizeof(*view));
	int r;

	if (!view)
		return -ENOMEM;
	view->config = *config;
	view->zoom = ZOOM_MIN;
	view->started = view->rated = clock_seconds();
	r = make_raw(view);
	if (r < 0)
		return r;
	screen_on();
	*ret_view = TAKE_PTR(view);
	return 0;
}

/* The one with the i-th latest alarm. */
static struct shown_group *get_group(struct live_view *view, unsigned i)
{
	return &view->groups[view->n_groups - 1 - i];
}

static void give_back(struct live_view *view)
{
	if (!view->raw)
		return;
	screen_off();
	tcsetattr(STDIN_FILENO, TCSADRAIN, &view->before);
	view->raw = false;
}

void live_view_leave(struct live_view *view, FILE *out)
{
	give_back(view);
	if (view->n_groups > LEAVE_FULL)
		fprintf(out, "The latest %d of %u different alarms:\n", LEAVE_FULL, view->n_groups);
	for (unsigned i = MIN(view->n_groups, LEAVE_FULL); i--;)
		if (get_group(view, i)->text)
			fprintf(out, "\n%s", get_group(view, i)->text);
	fflush(out);
}

static void forget_group(struct live_view *view, unsigned index)
{
	struct shown_group *group = &view->groups[index];

	free(group->headline);
	free(group->text);
	free(group->line);
	view->n_groups--;
	memmove(group, group + 1, (view->n_groups - index) * sizeof(*group));
}

struct live_view *live_view_close(struct live_view *view)
{
	if (view) {
		give_back(view);
		while (view->n_groups)
			forget_group(view, view->n_groups - 1);
		free(view);
	}
	return NULL;
}

struct live_ring *live_view_ring(struct live_view *view)
{
	return &view->ring;
}

static void add_mark(struct live_view *view, enum chart_mark kind)
{
	view->marks[view->n_marks++ % MARKS_MAX] = (struct mark){ view->ring.n, kind };
}

/* The group's place becomes the last one. What someone looks at stays what they look at. */
static struct shown_group *move_up(struct live_view *view, uint64_t number)
{
	struct shown_group moved = { .group = number };
	unsigned i = 0, place;

	while (i < view->n_groups && view->groups[i].group != number)
		i++;
	place = view->n_groups - 1 - i; /* in the list, if it is there */
	if (i < view->n_groups) {
		moved = view->groups[i];
		memmove(&view->groups[i], &view->groups[i + 1], (view->n_groups - 1 - i) * sizeof(moved));
		if (view->chosen == place)
			view->chosen = 0;
		else if (view->chosen < place && (view->reading || view->chosen))
			view->chosen++;
	} else {
		if (view->n_groups == GROUPS_SHOWN_MAX)
			forget_group(view, 0);
		view->n_groups++;
		if (view->reading || view->chosen)
			view->chosen = MIN(view->chosen + 1, view->n_groups - 1);
	}
	view->groups[view->n_groups - 1] = moved;
	return &view->groups[view->n_groups - 1];
}

static void replace(char **text, const char *by)
{
	free(*text);
	*text = by ? strdup(by) : NULL;
}

void live_view_alarm(struct live_view *view, const struct live_alarm *alarm)
{
	struct shown_group *group = move_up(view, alarm->group);

	if (!group->headline || alarm->text)
		replace(&group->headline, alarm->headline);
	if (alarm->text)
		replace(&group->text, alarm->text);
	replace(&group->line, alarm->text ? NULL : alarm->line);
	group->count += !alarm->went_on || !group->count;
	group->number = alarm->number;
	group->time = time(NULL);
	view->n_alarms += !alarm->went_on;
	add_mark(view, alarm->foreign ? CHART_MARK_FOREIGN : CHART_MARK_ALARM);
}

void live_view_gap(struct live_view *view)
{
	add_mark(view, CHART_MARK_GAP);
}

static enum live_view_key command_key(struct live_view *view, char key)
{
	switch (key) {
	case 'q':
		if (!view->reading)
			return LIVE_VIEW_QUIT;
		view->reading = false;
		return LIVE_VIEW_REDRAW;
	case '+':
	case '=':
		view->zoomed = true;
		view->zoom = MAX(view->zoom / 2, ZOOM_MIN);
		return LIVE_VIEW_REDRAW;
	case '-':
		view->zoomed = true;
		view->zoom = MIN(view->zoom * 2, LIVE_VIEW_CALLS);
		return LIVE_VIEW_REDRAW;
	case 'k':
		if (view->reading)
			view->scroll -= view->scroll > 0;
		else
			view->chosen -= view->chosen > 0;
		return LIVE_VIEW_REDRAW;
	case 'j':
		if (view->reading)
			view->scroll++;
		else if (view->chosen + 1 < view->n_groups)
			view->chosen++;
		return LIVE_VIEW_REDRAW;
	case '\n':
	case '\r':
		view->reading = !view->reading && view->n_groups;
		view->scroll = 0;
		return LIVE_VIEW_REDRAW;
	default:
		return LIVE_VIEW_NOTHING;
	}
}

/* Arrow keys come as ESC [ A or ESC O A; a lone ESC leaves the alarm. */
static enum live_view_key escape_key(struct live_view *view, char key)
{
	if (view->n_escape == 1 && (key == '[' || key == 'O')) {
		view->n_escape = 2;
		return LIVE_VIEW_NOTHING;
	}
	if (view->n_escape == 2 && key >= '0' && key <= ';') /* parameters of keys that mean nothing here */
		return LIVE_VIEW_NOTHING;
	view->n_escape = 0;
	return key == 'A' ? command_key(view, 'k') : key == 'B' ? command_key(view, 'j') : LIVE_VIEW_NOTHING;
}

enum live_view_key live_view_input(struct live_view *view)
{
	enum live_view_key result = LIVE_VIEW_NOTHING;
	char keys[64];
	ssize_t n = read(STDIN_FILENO, keys, sizeof(keys));

	if (n < 0)
		return errno == EINTR || errno == EAGAIN ? LIVE_VIEW_NOTHING : LIVE_VIEW_QUIT;
	for (ssize_t i = 0; i < n; i++) {
		enum live_view_key key;

		if (keys[i] == '\033') {
			view->n_escape = 1;
			continue;
		}
		key = view->n_escape ? escape_key(view, keys[i]) : command_key(view, keys[i]);
		result = MAX(result, key);
	}
	if (view->n_escape == 1) { /* nothing came behind it: the key itself */
		view->n_escape = 0;
		view->reading = false;
		result = MAX(result, LIVE_VIEW_REDRAW);
	}
	return result;
}

/* Ends every line so that nothing of the former picture is left behind it. */
static void put_lines(const char *text, unsigned skip, unsigned rows, FILE *out)
{
	while (*text) {
		size_t n = strcspn(text, "\n");

		if (skip) {
			skip--;
		} else if (rows) {
			fprintf(out, "\033[K%.*s\033[0m\r\n", (int)n, text); /* cleared after it, a full line would lose its end */
			rows--;
		}
		text += n + (text[n] == '\n');
	}
}

static const char *paint(const struct live_view *view, const char *code)
{
	return view->terminal.color ? code : "";
}

static void put_header(const struct live_view *view, const struct live_view_numbers *numbers, FILE *out)
{
	char title[512], profile[512], clock[32] = "";
	struct tm tm;
	time_t wall = time(NULL);
	unsigned long seconds = (unsigned long)(clock_seconds() - view->started);

	if (localtime_r(&wall, &tm))
		strftime(clock, sizeof(clock), "%H:%M:%S", &tm);
	fprintf(out, "%sImSafe%s  %s  %sprofile %s%s   %s   %s %lu:%02lu:%02lu\033[K\r\n", paint(view, "\033[1m"),
		paint(view, "\033[0m"), escape_text(title, sizeof(title), view->config.title), paint(view, "\033[2m"),
		escape_text(profile, sizeof(profile), view->config.profile), paint(view, "\033[0m"), clock,
		numbers->ended ? "ended after" : "for", seconds / 3600, seconds / 60 % 60, seconds % 60);
}

/* Of the mean that is drawn. */
static double threshold(const struct live_view *view)
{
	return limit_percent(view->config.policy->window[0].limit);
}

static void put_state(const struct live_view *view, FILE *out)
{
	const struct policy *policy = view->config.policy;
	const struct live_ring *ring = &view->ring;
	uint64_t n = MIN(MIN(ring->n, LIVE_VIEW_CALLS), view->zoom);
	struct live_call last = { 0 };
	unsigned worst = 0;
	bool below;

	if (!ring->n) {
		fprintf(out, "%swaiting for the first call%s\033[K\r\n", paint(view, "\033[2m"), paint(view, "\033[0m"));
		return;
	}
	for (uint64_t i = ring->n - n; i < ring->n; i++)
		worst = MAX(worst, ring->calls[i & (LIVE_VIEW_CALLS - 1)].mean);
	last = ring->calls[(ring->n - 1) & (LIVE_VIEW_CALLS - 1)];
	below = last.flags & VERDICT_BELOW;
	fprintf(out, "%s %s %s  mean %s%.1f %%%s, lowest %s%.1f %%%s   threshold ",
		paint(view, below ? "\033[1;37;41m" : "\033[1;37;42m"), below ? "UNUSUAL" : "NORMAL", paint(view, "\033[0m"),
		paint(view, below ? "\033[1;31m" : "\033[1m"), score_normality(last.mean) / 100.0, paint(view, "\033[0m"),
		paint(view, score_normality(worst) / 100.0 < threshold(view) ? "\033[31m" : ""), score_normality(worst) / 100.0,
		paint(view, "\033[0m"));
	for (unsigned i = 0; i < MEAN_WINDOWS && policy->window[i].length; i++)
		fprintf(out, "%s%.1f %% of %u", i ? ", " : "", limit_percent(policy->window[i].limit), policy->window[i].length);
	fputs("\033[K\r\n", out);
}

static void put_numbers(struct live_view *view, const struct live_view_numbers *numbers, FILE *out)
{
	const struct monitor_stats *stats = &numbers->stats;
	char calls[32], rate[32], lost[48];
	double now = clock_seconds(), seconds = now - view->rated;

	if (seconds >= 1) {
		view->rate = (double)(stats->calls - view->rated_calls) / seconds;
		view->rated = now;
		view->rated_calls = stats->calls;
	}
	words_grouped(stats->calls, calls);
	words_grouped((uint64_t)view->rate, rate);
	words_lost(stats->lost, lost);
	fprintf(out, "%s calls   %s calls/s   %zu thread%s   ", calls, rate, stats->threads, stats->threads == 1 ? "" : "s");
	if (stats->gaps)
		fprintf(out, "%s%" PRIu64 " gap%s, %s lost%s", paint(view, "\033[33m"), stats->gaps, stats->gaps == 1 ? "" : "s",
			lost, paint(view, "\033[0m"));
	else
		fprintf(out, "no gaps");
	if (stats->foreign)
		fprintf(out, "   %s%" PRIu64 " foreign%s", paint(view, "\033[31m"), stats->foreign, paint(view, "\033[0m"));
	fprintf(out, "\033[K\r\n");
}

static void put_graph(struct live_view *view, unsigned rows, FILE *out)
{
	uint64_t n = MIN(MIN(view->ring.n, LIVE_VIEW_CALLS), view->zoom), first = view->ring.n - n;
	struct chart_series series = { .points = view->points, .n = n, .warn_below = threshold(view) };
	struct chart_line line = { .at = threshold(view), .color = CHART_RED };
	struct chart_marker markers[MARKS_MAX];
	struct chart chart = {
		.x = { .label = "calls", .min = -(double)view->zoom, .max = 0 }, .y = { .unit = "%", .min = 0, .max = 100 },
		.series = &series, .n_series = 1, .lines = &line, .n_lines = 1, .markers = markers, .no_legend = true,
	};
	struct chart_terminal terminal = view->terminal;
	_cleanup_free_ char *text = NULL;
	size_t size = 0;
	FILE *memory;

	for (uint64_t i = 0; i < n; i++)
		view->points[i] = (struct chart_point){ (double)i + 1 - (double)n,
			score_normality(view->ring.calls[(first + i) & (LIVE_VIEW_CALLS - 1)].mean) / 100.0 };
	for (uint64_t i = 0; i < MIN(view->n_marks, MARKS_MAX); i++)
		if (view->marks[i].at > first)
			markers[chart.n_markers++] = (struct chart_marker){ .kind = view->marks[i].kind,
				.x = (double)view->marks[i].at - (double)view->ring.n };
	terminal.height = rows;
	memory = open_memstream(&text, &size);
	if (!memory)
		return;
	chart_draw_terminal(&chart, &terminal, memory);
	fclose(memory);
	put_lines(text, 0, rows, out);
}

/* A piece of text that fits in the columns; colours are not in it. */
static void put_cut(const char *text, unsigned columns, FILE *out)
{
	fwrite(text, 1, words_bytes(text, columns), out);
}

static void put_group(struct live_view *view, unsigned i, FILE *out)
{
	const struct shown_group *group = get_group(view, i);
	char clock[16] = "", count[32] = "";
	struct tm tm;

	if (localtime_r(&group->time, &tm))
		strftime(clock, sizeof(clock), "%H:%M:%S", &tm);
	if (group->count > 1)
		snprintf(count, sizeof(count), "%" PRIu64 "%s", group->count, view->terminal.utf8 ? "×" : "x");
	fprintf(out, "%s%s %s  %*s  ", i == view->chosen ? paint(view, "\033[7m") : "",
		i == view->chosen ? (view->terminal.utf8 ? "▸" : ">") : " ", clock,
		group->count > 1 && view->terminal.utf8 ? 7 : 6, count);
	put_cut(group->headline ? group->headline : "", view->terminal.width > 22 ? view->terminal.width - 22 : 8, out);
	fputs(paint(view, "\033[0m"), out);
}

static void put_alarms(struct live_view *view, unsigned rows, FILE *out)
{
	unsigned list = rows - 1, first;

	if (!view->n_alarms)
		fprintf(out, "%sno alarms%s\033[K\r\n", paint(view, "\033[32m"), paint(view, "\033[0m"));
	else
		fprintf(out, "%s%" PRIu64 " alarm%s%s of %u cause%s\033[K\r\n", paint(view, "\033[1;31m"), view->n_alarms,
			view->n_alarms == 1 ? "" : "s", paint(view, "\033[0m"), view->n_groups, view->n_groups == 1 ? "" : "s");
	first = view->chosen >= list ? view->chosen - list + 1 : 0;
	for (unsigned i = first; i < first + list; i++) {
		if (i < view->n_groups)
			put_group(view, i, out);
		fputs("\033[K\r\n", out);
	}
}

static void put_keys(const struct live_view *view, const struct live_view_numbers *numbers, FILE *out)
{
	fprintf(out, "%s", paint(view, "\033[2m"));
	if (view->reading)
		fprintf(out, "Enter back   %s scroll   q back", view->terminal.utf8 ? "↑↓" : "j k");
	else
		fprintf(out, "q quit   + - zoom%s%s%s", view->n_alarms ? "   " : "",
			view->n_alarms ? (view->terminal.utf8 ? "↑↓" : "j k") : "", view->n_alarms ? " choose   Enter explain" : "");
	fprintf(out, "%s", paint(view, "\033[0m"));
	if (numbers->note)
		fprintf(out, "   %s%s%s", paint(view, "\033[33m"), numbers->note, paint(view, "\033[0m"));
	fputs("\033[K\033[J", out);
}

/* Columns that a piece of text takes; colours take none. */
static unsigned visible(const char *text, size_t n)
{
	unsigned columns = 0;

	for (size_t i = 0; i < n; i++)
		if (text[i] == '\033')
			i += strcspn(text + i, "m");
		else
			columns += (text[i] & 0xc0) != 0x80;
	return columns;
}

/* Lines no wider than the terminal, which may have been wider when the alarm's text was laid out. */
static char *folded(const char *text, unsigned width)
{
	unsigned column = 0;
	char *lines = NULL;
	size_t size;
	FILE *out = open_memstream(&lines, &size);

	if (!out)
		return NULL;
	while (*text) {
		size_t blanks = strspn(text, " "), n = strcspn(text + blanks, " \n");
		unsigned columns = visible(text + blanks, n);

		if (column > 2 && column + blanks + columns > width)
			column = (unsigned)fprintf(out, "\n  ") - 1;
		else
			column += (unsigned)fprintf(out, "%*s", (int)blanks, "");
		column += columns;
		fwrite(text + blanks, 1, n, out);
		text += blanks + n;
		if (*text == '\n') {
			fputc(*text++, out);
			column = 0;
		}
	}
	if (fclose(out) == 0)
		return lines;
	free(lines);
	return NULL;
}

static void put_reading(struct live_view *view, unsigned rows, FILE *out)
{
	const struct shown_group *group = get_group(view, view->chosen);
	_cleanup_free_ char *text = folded(group->text ? group->text : "", view->terminal.width);
	unsigned lines = 0;

	if (!text)
		return;
	if (group->line && rows > 1) {
		fprintf(out, "%sThe latest: %s", paint(view, "\033[33m"), paint(view, "\033[0m"));
		put_lines(group->line, 0, 1, out);
		rows--;
	}
	for (const char *c = text; *c; c++)
		lines += *c == '\n';
	view->scroll = MIN(view->scroll, lines > rows ? lines - rows : 0);
	put_lines(text, view->scroll, rows, out);
	for (unsigned i = lines - MIN(lines, view->scroll); i < rows; i++)
		fputs("\033[K\r\n", out);
}

void live_view_draw(struct live_view *view, const struct live_view_numbers *numbers)
{
	_cleanup_free_ char *picture = NULL;
	unsigned rows, list;
	size_t size = 0;
	FILE *out;

	if (!view->raw)
		return;
	chart_terminal_init(&view->terminal, stdout);
	while (!view->zoomed && view->zoom < ZOOM_FIRST && view->zoom < view->ring.n)
		view->zoom *= 2;
	rows = view->terminal.height;
	out = open_memstream(&picture, &size);
	if (!out)
		return;
	fputs("\033[H", out);
	if (view->reading) {
		put_reading(view, rows > 2 ? rows - 1 : 1, out);
	} else {
		put_header(view, numbers, out);
		put_state(view, out);
		put_numbers(view, numbers, out);
		/* The list of alarms gets a third of what is left, the graph the rest, if that is enough to draw it. */
		list = MIN(MAX((rows - 4) / 3, 3U), MAX(view->n_groups + 1, 3U));
		if (rows >= 4 + list + GRAPH_MIN)
			put_graph(view, rows - 4 - list, out);
		else
			list = rows > 6 ? rows - 4 : 2;
		put_alarms(view, list, out);
	}
	put_keys(view, numbers, out);
	fclose(out);
	/* One write a picture, so that a slow line never shows half of one. */
	fwrite(picture, 1, size, stdout);
	fflush(stdout);
}
