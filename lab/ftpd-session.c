/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A session's control connection: commands in, as Telnet strings (RFC 959, RFC 854), replies out. */
#include <ctype.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "ftpd.h"

#define IDLE_SECONDS 300

enum { IAC = 255, DONT = 254, WILL = 251 };

int send_all(int fd, const void *bytes, size_t n)
{
	for (const char *at = bytes; n > 0;) {
		ssize_t sent = write(fd, at, n);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0)
			return -errno;
		at += sent;
		n -= sent;
	}
	return 0;
}

static void send_reply(struct session *s, const char *start, const char *format, va_list args)
{
	char text[LINE_SIZE];
	size_t at = strlen(start), room = sizeof(text) - at - 2;
	int n;

	memcpy(text, start, at);
	n = vsnprintf(text + at, room, format, args);
	at += n < 0 ? 0 : (size_t)n < room ? (size_t)n : room - 1;
	memcpy(text + at, "\r\n", 2);
	if (send_all(s->control, text, at + 2) < 0)
		s->leaving = true;
}

__attribute__((noinline)) void reply(struct session *s, int code, const char *format, ...)
{
	char start[16];
	va_list args;

	snprintf(start, sizeof(start), "%03d ", code);
	va_start(args, format);
	send_reply(s, start, format, args);
	va_end(args);
}

void reply_line(struct session *s, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	send_reply(s, "", format, args);
	va_end(args);
}

/* More bytes into the buffer: 1, 0 at the end or after too long a silence; without waiting: -1 if there are none now. */
static int fill(struct session *s, bool wait)
{
	ssize_t n;

	if (s->in_start > 0) {
		memmove(s->in, s->in + s->in_start, s->in_end - s->in_start);
		s->in_end -= s->in_start;
		s->in_start = 0;
	}
	do
		n = recv(s->control, s->in + s->in_end, sizeof(s->in) - s->in_end, wait ? 0 : MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0 && !wait && (errno == EAGAIN || errno == EWOULDBLOCK))
		return -1;
	if (n < 0 && wait && (errno == EAGAIN || errno == EWOULDBLOCK))
		reply(s, 421, "No command for %d seconds, closing.", IDLE_SECONDS);
	if (n <= 0)
		return 0;
	s->in_end += n;
	return 1;
}

/* The next byte, -1 at the end. */
static int next_byte(struct session *s)
{
	if (s->in_start == s->in_end && fill(s, true) <= 0)
		return -1;
	return s->in[s->in_start++];
}

/* Reads a command up to CR LF into s->line. 1, 0 when it was too long (and is skipped), -1 at the end. */
static int read_line(struct session *s)
{
	bool cr = false, long_line = false;

	for (s->length = 0;;) {
		int c = next_byte(s);

		if (c == IAC) {
			c = next_byte(s);
			if (c >= WILL && c <= DONT)
				next_byte(s); /* the option that is talked about: we do none */
			if (c >= 0 && c != IAC)
				continue;
		}
		if (c < 0)
			return -1;
		if (cr && c == '\n')
			break;
		if (cr && c == 0) { /* CR NUL stands for a bare CR */
			cr = false;
			continue;
		}
		cr = c == '\r';
		if (s->length == sizeof(s->line) - 1)
			long_line = true;
		else
			s->line[s->length++] = c;
	}
	if (!long_line)
		s->length--; /* the CR */
	s->line[s->length] = 0;
	return !long_line;
}

bool session_aborted(struct session *s)
{
	size_t at;

	if (s->in_end < sizeof(s->in))
		fill(s, false);
	/* Clients send IAC IP IAC DM before ABOR. */
	for (at = s->in_start; at + 1 < s->in_end && s->in[at] == IAC; at += 2)
		;
	if (s->in_end - at < 6 || strncasecmp((char *)s->in + at, "ABOR\r\n", 6) != 0)
		return false;
	s->in_start = at + 6;
	return true;
}

static void command_user(struct session *s, char *argument, size_t length)
{
	s->logged_in = false;
	s->named = *argument;
	snprintf(s->user, sizeof(s->user), "%s", argument);
	if (s->named)
		reply(s, 331, "Password, please; for anonymous, any.");
	else
		reply(s, 501, "USER needs a name.");
}

static void command_pass(struct session *s, char *argument, size_t length)
{
	if (!s->named) {
		reply(s, 503, "USER first.");
		return;
	}
	s->logged_in = !strcasecmp(s->user, "anonymous") || !strcasecmp(s->user, "ftp");
	if (s->logged_in)
		reply(s, 230, "Welcome.");
	else
		reply(s, 530, "Only anonymous may log in.");
}

static void command_quit(struct session *s, char *argument, size_t length)
{
	reply(s, 221, "Goodbye.");
	s->leaving = true;
}

static void command_noop(struct session *s, char *argument, size_t length)
{
	reply(s, 200, "OK.");
}

static void command_syst(struct session *s, char *argument, size_t length)
{
	reply(s, 215, "UNIX Type: L8");
}

static void command_type(struct session *s, char *argument, size_t length)
{
	char type = toupper((unsigned char)argument[0]);

	if (type != 'A' && type != 'I' && !(type == 'L' && !strcmp(argument + 1, " 8"))) {
		reply(s, 504, "TYPE A or I.");
		return;
	}
	s->ascii = type == 'A';
	reply(s, 200, "Type is %s.", s->ascii ? "ASCII" : "binary");
}

static void command_mode(struct session *s, char *argument, size_t length)
{
	if (!strcasecmp(argument, "S"))
		reply(s, 200, "Stream mode.");
	else
		reply(s, 504, "Only MODE S.");
}

static void command_stru(struct session *s, char *argument, size_t length)
{
	if (!strcasecmp(argument, "F"))
		reply(s, 200, "File structure.");
	else
		reply(s, 504, "Only STRU F.");
}

static void command_allo(struct session *s, char *argument, size_t length)
{
	reply(s, 202, "Not needed here.");
}

static void command_abor(struct session *s, char *argument, size_t length)
{
	data_close(s);
	reply(s, 226, "Nothing to abort.");
}

static void command_rest(struct session *s, char *argument, size_t length)
{
	char *end;
	long long at;

	errno = 0;
	at = strtoll(argument, &end, 10);
	if (end == argument || *end || at < 0 || errno) {
		reply(s, 501, "REST needs an offset.");
		return;
	}
	s->restart = at;
	reply(s, 350, "Restarting at %lld.", at);
}

static void command_feat(struct session *s, char *argument, size_t length)
{
	reply_line(s, "211-Features:");
	reply_line(s, " EPRT");
	reply_line(s, " EPSV");
	reply_line(s, " MDTM");
	reply_line(s, " PASV");
	reply_line(s, " REST STREAM");
	reply_line(s, " SIZE");
	reply_line(s, " UTF8");
	reply(s, 211, "End");
}

static void command_opts(struct session *s, char *argument, size_t length)
{
	if (!strncasecmp(argument, "UTF8", 4))
		reply(s, 200, "Always UTF-8.");
	else
		reply(s, 501, "No such option.");
}

static command_fn command_help, command_stat;

static const struct command {
	const char *name;
	command_fn *run;
	bool early; /* allowed before the log-in */
} commands[] = {
	{ "USER", command_user, true }, { "PASS", command_pass, true }, { "QUIT", command_quit, true },
	{ "NOOP", command_noop, true }, { "FEAT", command_feat, true }, { "OPTS", command_opts, true },
	{ "HELP", command_help, true }, { "SYST", command_syst, true }, { "STAT", command_stat, false },
	{ "TYPE", command_type, false }, { "MODE", command_mode, false }, { "STRU", command_stru, false },
	{ "ALLO", command_allo, false }, { "REST", command_rest, false }, { "ABOR", command_abor, false },
	{ "PASV", command_pasv, false }, { "EPSV", command_epsv, false }, { "PORT", command_port, false },
	{ "EPRT", command_eprt, false }, { "LIST", command_list, false }, { "NLST", command_nlst, false },
	{ "RETR", command_retr, false }, { "STOR", command_stor, false }, { "APPE", command_appe, false },
	{ "CWD", command_cwd, false }, { "XCWD", command_cwd, false }, { "CDUP", command_cdup, false },
	{ "XCUP", command_cdup, false }, { "PWD", command_pwd, false }, { "XPWD", command_pwd, false },
	{ "DELE", command_dele, false }, { "MKD", command_mkd, false }, { "XMKD", command_mkd, false },
	{ "RMD", command_rmd, false }, { "XRMD", command_rmd, false }, { "RNFR", command_rnfr, false },
	{ "RNTO", command_rnto, false }, { "SIZE", command_size, false }, { "MDTM", command_mdtm, false },
	{ "SITE", command_site, false },
};
#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void command_help(struct session *s, char *argument, size_t length)
{
	reply_line(s, "214-Commands:");
	for (size_t i = 0; i < N_COMMANDS; i++)
		reply_line(s, " %s", commands[i].name);
	reply(s, 214, "SITE EXEC is vulnerable on purpose.");
}

static void command_stat(struct session *s, char *argument, size_t length)
{
	if (*argument) {
		reply(s, 504, "STAT of a file is not here; use LIST.");
		return;
	}
	reply_line(s, "211-ImSafe lab FTP server");
	reply_line(s, " Logged in as %s, in %s", s->user, s->cwd);
	reply_line(s, " Type %s, file structure, stream mode", s->ascii ? "ASCII" : "binary");
	reply(s, 211, "End");
}

static void log_command(struct session *s)
{
	char text[256];
	time_t now = time(NULL);
	struct tm tm;
	size_t n;

	if (s->log < 0)
		return;
	n = strftime(text, sizeof(text), "%F %T ", gmtime_r(&now, &tm));
	snprintf(text + n, sizeof(text) - n - 1, "[%d] %s", (int)getpid(),
		 strncasecmp(s->line, "PASS", 4) ? s->line : "PASS ***");
	for (char *c = text; *c; c++)
		if (iscntrl((unsigned char)*c))
			*c = '?';
	n = strlen(text);
	text[n] = '\n';
	send_all(s->log, text, n + 1);
}

static void run_command(struct session *s)
{
	size_t name = strcspn(s->line, " ");
	char *argument = s->line + name + (s->line[name] == ' ');
	const struct command *command = NULL;

	for (size_t i = 0; i < N_COMMANDS; i++)
		if (strlen(commands[i].name) == name && !strncasecmp(s->line, commands[i].name, name))
			command = &commands[i];
	if (!command)
		reply(s, 500, "Unknown command.");
	else if (!command->early && !s->logged_in)
		reply(s, 530, "Log in with USER and PASS.");
	else
		command->run(s, argument, s->length - (argument - s->line));
	/* These two hold for the next command only. */
	if (command && command->run != command_rest)
		s->restart = 0;
	if (command && command->run != command_rnfr)
		s->rename_from[0] = 0;
}

__attribute__((noinline)) void session_run(struct session *s)
{
	struct timeval idle = { .tv_sec = IDLE_SECONDS };
	int on = 1;

	setsockopt(s->control, SOL_SOCKET, SO_RCVTIMEO, &idle, sizeof(idle));
	setsockopt(s->control, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	s->listener = -1;
	memcpy(s->cwd, "/", 2);
	s->ascii = true;
	reply(s, 220, "ImSafe lab FTP server. Vulnerable on purpose.");
	while (!s->leaving) {
		int got = read_line(s);

		if (got < 0)
			break;
		log_command(s);
		if (got)
			run_command(s);
		else
			reply(s, 500, "Line too long.");
	}
	data_close(s);
	close(s->control);
}
