/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Command lines as people write them: every spelling of an option, arguments between them, and what is refused. */
#include "base/options.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "../tap.h"

struct config {
	const char *file, *where;
	unsigned mean;
	bool json, quiet;
	struct option_list pids;
	double rate;
};

static int parse_rate(void *data, const char *value, struct errmsg *err)
{
	struct config *config = data;

	if (parse_double(value, 0, 100, &config->rate) < 0)
		return errmsg_set(err, -EINVAL, NULL, 0, "no rate: %s", value);
	return 0;
}

static const struct option_spec options[] = {
	OPTION_STRING('o', "output", "FILE", struct config, file, "write to FILE"),
	OPTION_STRING('g', "listen", "[WHERE]", struct config, where, "listen"),
	OPTION_UINT('m', "mean", "N", struct config, mean, 1, 1024, "mean over N calls"),
	OPTION_CALL('r', "rate", "RATE", parse_rate, "rate"),
	OPTION_LIST('p', "pid", "PID", struct config, pids, "process"),
	OPTION_FLAG(0, "json", struct config, json, "JSON"),
	OPTION_FLAG('q', NULL, struct config, quiet, "quiet"),
	OPTION_END
};
static const struct verb verb = { .name = "test", .synopsis = "", .description = "", .options = options };

static char *line[96];
static struct config config;
static struct errmsg err;

/* Parses the words of a command line; what stands behind the options is in "arguments" then, with blanks between. */
static int parse(const char *text, bool stop_at_argument, char arguments[128])
{
	static char words[1024];
	char *save = NULL;
	int argc = 0, rest = 0, r;

	snprintf(words, sizeof(words), "%s", text);
	for (char *word = strtok_r(words, " ", &save); word; word = strtok_r(NULL, " ", &save))
		line[argc++] = word;
	line[argc] = NULL;
	memset(&config, 0, sizeof(config));
	memset(&err, 0, sizeof(err));
	r = options_parse(&verb, argc, line, &config, stop_at_argument, &rest, &err);
	*arguments = '\0';
	for (int i = rest, at = 0; !r && i < argc; i++)
		at += snprintf(arguments + at, 128 - (size_t)at, "%s%s", i > rest ? " " : "", line[i]);
	return r;
}

static void test_spellings(void)
{
	static const char *const lines[] = { "test -o a -m 32", "test -oa -m32", "test --output a --mean 32", "test --output=a --mean=32" };
	char rest[128];

	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++)
		ok(!parse(lines[i], false, rest) && !strcmp(config.file, "a") && config.mean == 32 && !*rest, "%s", lines[i]);
	ok(!parse("test -q --json", false, rest) && config.quiet && config.json, "flags");
	ok(!parse("test -qm8 -qoa", false, rest) && config.quiet && config.mean == 8 && !strcmp(config.file, "a"), "letters in one word");
	ok(!parse("test -p 1 --pid=2 -p3", false, rest) && config.pids.n == 3 && !strcmp(config.pids.values[2], "3"), "one given several times");
	ok(!parse("test --rate 0.5", false, rest) && config.rate == 0.5, "one that reads its value itself");
	ok(!parse("test -g /run/x", false, rest) && !config.where && !strcmp(rest, "/run/x"), "a value that may be missing is attached only");
	ok(!parse("test -g/run/x", false, rest) && !strcmp(config.where, "/run/x") && !*rest, "to the letter");
	ok(!parse("test --listen=/run/x y", false, rest) && !strcmp(config.where, "/run/x") && !strcmp(rest, "y"), "or to the name");
	ok(!parse("test -o -q", false, rest) && !strcmp(config.file, "-q") && !config.quiet, "a value may look like an option");
}

static void test_arguments(void)
{
	char rest[128];

	ok(!parse("test a -q b -m 5 c", false, rest) && config.quiet && config.mean == 5 && !strcmp(rest, "a b c"),
	   "arguments may stand between options and keep their order");
	ok(!parse("test a -q -- -m 5", false, rest) && config.quiet && !config.mean && !strcmp(rest, "a -m 5"), "-- ends the options");
	ok(!parse("test -q a -m 5", true, rest) && config.quiet && !config.mean && !strcmp(rest, "a -m 5"), "or the first argument, where asked");
	ok(!parse("test - -q", false, rest) && config.quiet && !strcmp(rest, "-"), "a lone - is an argument");
	ok(!parse("test", false, rest) && !*rest, "nothing at all");
}

static void test_refused(void)
{
	static const struct {
		const char *line, *message;
	} refused[] = {
		{ "test --nothing", "there is no option '--nothing'" },
		{ "test --out a", "there is no option '--out'" },
		{ "test -x", "there is no option '-x'" },
		{ "test --json=yes", "--json takes no value" },
		{ "test --output", "--output needs a value: FILE" },
		{ "test -qo", "-o needs a value: FILE" },
		{ "test -m 0", "--mean takes a whole number from 1 to 1024, not '0'" },
		{ "test -m 1025", "not '1025'" },
		{ "test -m 3x", "not '3x'" },
		{ "test -m -3", "not '-3'" },
		{ "test --mean=", "not ''" },
		{ "test --rate 101", "no rate: 101" },
		{ "test --rate nan", "no rate: nan" },
	};
	char many[1024] = "test", rest[128];

	for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++)
		ok(parse(refused[i].line, false, rest) == -EINVAL && strstr(err.text, refused[i].message), "%s: %s", refused[i].line, err.text);
	for (int i = 0; i < OPTION_LIST_MAX; i++)
		snprintf(many + strlen(many), sizeof(many) - strlen(many), " -p1");
	ok(!parse(many, false, rest) && config.pids.n == OPTION_LIST_MAX, "as many of one as there is room for");
	snprintf(many + strlen(many), sizeof(many) - strlen(many), " -p1");
	ok(parse(many, false, rest) == -EINVAL, "and no more");
}

static void test_numbers(void)
{
	unsigned long long value = 7;
	unsigned list[3] = { 0 };

	ok(!parse_uint("18446744073709551615", 0, UINT64_MAX, &value) && value == UINT64_MAX, "the largest number");
	ok(parse_uint("18446744073709551616", 0, UINT64_MAX, &value) == -ERANGE && value == UINT64_MAX, "one more, and nothing is written");
	ok(parse_uint("", 0, 9, &value) == -EINVAL && parse_uint(" 1", 0, 9, &value) == -EINVAL && parse_uint("+1", 0, 9, &value) == -EINVAL,
	   "no blanks, no signs");
	ok(parse_uint_list("8", 1, 9, list, 3) == 1 && list[0] == 8, "a list of one");
	ok(parse_uint_list("1,2,9", 1, 9, list, 3) == 3 && list[0] == 1 && list[1] == 2 && list[2] == 9, "as long as it may be");
	ok(parse_uint_list("1,2,3,4", 1, 9, list, 3) == -EINVAL, "a longer one");
	ok(parse_uint_list("", 1, 9, list, 3) == -EINVAL && parse_uint_list("1,", 1, 9, list, 3) == -EINVAL &&
	   parse_uint_list(",1", 1, 9, list, 3) == -EINVAL && parse_uint_list("1,10", 1, 9, list, 3) == -EINVAL &&
	   parse_uint_list("00000000000000001", 1, 9, list, 3) == -EINVAL, "no numbers, or not these");
}

int main(void)
{
	test_spellings();
	test_arguments();
	test_refused();
	test_numbers();
	return tap_done();
}
