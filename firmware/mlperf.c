/* mlperf.c: commands in text, as the benchmark's runner sends them. See mlperf.h and docs/serial.md.
 *
 * Written against the behaviour of the public test harness (github.com/mlcommons/tiny, folders
 * benchmark/api and benchmark/runner). Each inference takes its input from a copy in spare RAM, for
 * a model may overwrite the one in its arena.
 */
#include "mlperf.h"

#include <string.h>

#include "classes.h"
#include "input_buffer.h"
#include "model_names.h"
#include "text.h"
#include "protocol.h"
#include "session.h"
#include "target.h"

#define NAME_EXPANDED(name) NAME_STRING(name)
#define NAME_STRING(name) #name

#define COMMAND_MAX 80u
#define END_OF_COMMAND ((uint8_t)'%')

#define STEP_BACK 0x80000000u

#define INFERENCES_DEFAULT 1u
#define WARM_UPS_DEFAULT 10u

typedef enum {
    COMMAND_NAME,
    COMMAND_PROFILE,
    COMMAND_TIMESTAMP,
    COMMAND_HELP,
    COMMAND_BUFFER,
    COMMAND_INFER,
    COMMAND_RESULTS,
    COMMAND_UNKNOWN
} command;

static const char *const command_names[COMMAND_UNKNOWN] = {
    "name", "profile", "timestamp", "help", "db", "infer", "results",
};

static struct {
    bool active;     /* else only `name` is obeyed */
    bool spoilt;     /* a byte came that no text holds: this is a frame, or noise */
    uint32_t length; /* characters of the command so far; those beyond COMMAND_MAX are not kept */
    char command[COMMAND_MAX + 1u];
    char *next_word;
} line;

static struct {
    uint32_t hz;
    uint32_t seconds;
    uint32_t second_started; /* in cycles */
    uint32_t latest;         /* count of cycles that was read last */
} watch;

/* The next word of the command, or null at its end. Words are separated by blanks. */
static const char *next_word(void)
{
    char *at = line.next_word;
    while (*at == ' ') {
        at++;
    }
    if (*at == '\0') {
        return NULL;
    }
    const char *word = at;
    while (*at != '\0') {
        if (*at == ' ') {
            *at = '\0';
            at++;
            break;
        }
        at++;
    }
    line.next_word = at;
    return word;
}

/* Core cycles so far. A count that seems to step back, as an emulator's can, stays where it was. */
static uint32_t steady_cycles(void)
{
    const uint32_t now = cycles_now();
    if (now - watch.latest < STEP_BACK) {
        watch.latest = now;
    }
    return watch.latest;
}

void mlperf_tick(void)
{
    while (steady_cycles() - watch.second_started >= watch.hz) {
        watch.second_started += watch.hz;
        watch.seconds++;
    }
}

/* Microseconds since the start: whole seconds, then six digits. */
static void put_timestamp(void)
{
    mlperf_tick();
    const uint32_t cycles = watch.latest - watch.second_started;
    put("m-lap-us-");
    put_number(watch.seconds);
    put_digits(cycles / (watch.hz / 1000000u), 6u);
    put("\r\n");
}

static void put_help(void)
{
    put("name, profile, timestamp, help\r\n"
        "db load N: expect N bytes of input\r\n"
        "db HH...: the next bytes, in hexadecimal\r\n"
        "db print: the bytes so far\r\n"
        "infer N W: N inferences after W that do not count\r\n"
        "results: of the last inference\r\n");
}

static void obey_buffer(void)
{
    const char *word = next_word();
    if (word == NULL) {
        put("e-[Command 'db' needs load, print or bytes]\r\n");
    } else if (strcmp(word, "load") == 0) {
        input_load(next_word());
    } else if (strcmp(word, "print") == 0) {
        input_print();
    } else {
        input_store(word);
    }
}

static void put_probabilities(void)
{
    const class_scale scale = classes_scale();
    put("m-results-[");
    for (uint32_t i = 0u; i < OUTPUT_COUNT; i++) {
        const uint32_t thousandths = class_thousandths(scale, i);
        if (i > 0u) {
            put(",");
        }
        put_digits(thousandths / 1000u, 1u);
        put(".");
        put_digits(thousandths % 1000u, 3u);
    }
    put("]\r\n");
}

static void put_results(void)
{
    if (session_has_result() == 0u) {
        put("e-[No results yet: use 'infer']\r\n");
    } else if (!classes_are_there()) {
        put_line_with("e-[No scores of classes: ", OUTPUT_COUNT, " outputs]");
    } else {
        put_probabilities();
    }
}

/* False once the model failed. */
static bool run_times(uint32_t times)
{
    for (uint32_t i = 0u; i < times; i++) {
        if (!session_run(input_loaded())) {
            put("e-[The model reports an error]\r\n");
            return false;
        }
        mlperf_tick();
    }
    return true;
}

static void infer(uint32_t inferences, uint32_t warm_ups)
{
    put_line_with("m-warmup-start-", warm_ups, "");
    if (!run_times(warm_ups)) {
        return;
    }
    put("m-warmup-done\r\n");
    put_line_with("m-infer-start-", inferences, "");
    put_timestamp();
    if (!run_times(inferences)) {
        return;
    }
    put_timestamp();
    put("m-infer-done\r\n");
    put_results();
}

/* The number that the next word holds, `value` where there is none. */
static bool next_number(uint32_t *value)
{
    const char *word = next_word();
    return word == NULL ? true : read_number(word, value);
}

static void obey_infer(void)
{
    uint32_t inferences = INFERENCES_DEFAULT;
    uint32_t warm_ups = WARM_UPS_DEFAULT;
    if (!next_number(&inferences)) {
        inferences = 0u;
    }
    if (inferences == 0u) {
        put("e-[Inference iterations must be >0]\r\n");
    } else if (!next_number(&warm_ups)) {
        put("e-[Inference warmup must be >=0]\r\n");
    } else if (input_loaded() == NULL) {
        put("e-[No input: use 'db load']\r\n");
    } else {
        infer(inferences, warm_ups);
    }
}

static command command_named(const char *word)
{
    uint32_t i = 0u;
    while (i < (uint32_t)COMMAND_UNKNOWN) {
        if (strcmp(word, command_names[i]) == 0) {
            break;
        }
        i++;
    }
    return (command)i;
}

static void obey_known(command wanted)
{
    switch (wanted) {
    case COMMAND_NAME:
        put("m-name-dut-[mcugen " BOARD_NAME "]\r\n");
        break;
    case COMMAND_PROFILE:
        put("m-profile-[ULPMark for tinyML Firmware V0.0.1]\r\n");
        put("m-model-[" NAME_EXPANDED(MODEL_PREFIX) "]\r\n");
        break;
    case COMMAND_TIMESTAMP:
        put_timestamp();
        break;
    case COMMAND_HELP:
        put_help();
        break;
    case COMMAND_BUFFER:
        obey_buffer();
        break;
    case COMMAND_INFER:
        obey_infer();
        break;
    case COMMAND_RESULTS:
        put_results();
        break;
    case COMMAND_UNKNOWN:
    default:
        put("e-[Unknown command]\r\n");
        break;
    }
}

static void obey(void)
{
    line.command[line.length] = '\0';
    line.next_word = line.command;
    const char *word = next_word();
    command wanted = COMMAND_UNKNOWN;
    if (word != NULL) {
        wanted = command_named(word);
    }
    if (wanted == COMMAND_NAME) {
        line.active = true;
    }
    if (line.active) {
        obey_known(wanted);
        put("m-ready\r\n");
    }
}

static void end_command(void)
{
    if (line.spoilt) {
        line.spoilt = !line.active;
    } else if (line.length <= COMMAND_MAX) {
        obey();
    } else if (line.active) {
        put("e-[Command too long]\r\nm-ready\r\n");
    }
    line.length = 0u;
}

static void take_character(uint8_t byte)
{
    if (line.length < COMMAND_MAX) {
        line.command[line.length] = (char)byte;
    }
    if (line.length <= COMMAND_MAX) {
        line.length++;
    }
}

static bool is_line_end(uint8_t byte)
{
    return byte == (uint8_t)'\r' ? true : byte == (uint8_t)'\n';
}

static bool is_printable(uint8_t byte)
{
    return byte >= (uint8_t)' ' ? byte <= (uint8_t)'~' : false;
}

void mlperf_start(platform_clock clock)
{
    watch.hz = clock.core_hz;
    watch.latest = cycles_now();
    watch.second_started = watch.latest;
    line.active = true;
    put("m-init-done\r\nm-ready\r\n");
}

void mlperf_stop(void)
{
    line.active = false;
    line.spoilt = false;
    line.length = 0u;
    input_forget();
}

void mlperf_receive(uint8_t byte)
{
    if (byte == 0u) {
        line.spoilt = false;
        line.length = 0u;
    } else if (byte == END_OF_COMMAND) {
        end_command();
    } else if (is_printable(byte)) {
        take_character(byte);
    } else if (is_line_end(byte)) {
        take_character((uint8_t)' ');
    } else {
        line.spoilt = true;
    }
}
