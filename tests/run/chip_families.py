"""The clock trees of the chips, from their manuals: addresses in full, fields by their bits."""

from collections.abc import Callable, Mapping

from mcugen.target.boards import Board
from tests.run.chips import Family, Read


def _field(value: int, low: int, bits: int) -> int:
    return value >> low & (1 << bits) - 1


def _divided(code: int, bits: int) -> int:
    """The divisor of a prescaler field: codes from the middle on are 2, 4, 8, 16. (The fields of 4
    bits leave out 32, which no board comes to.)"""
    half = 1 << bits - 1
    return 1 if code < half else 2 << code - half


def _ready(own: int, *bits: tuple[int, int]) -> int:
    """Flags that follow their enable bits: pairs of places, of the latter and of the former."""
    return sum((own >> enable & 1) << flag for enable, flag in bits)


# STM32F4 and F7 (RM0390, RM0090, RM0385): RCC at 0x40023800, PWR at 0x40007000.
_F4_CR, _F4_PLL, _F4_CFGR = 0x4002_3800, 0x4002_3804, 0x4002_3808
_F4_PWR, _F4_PWR_STATUS, _F4_ACR = 0x4000_7000, 0x4000_7004, 0x4002_3C00


def _switched(pll: int, place: int, cr: int) -> Callable[[int, Read], int]:
    """The switch's state: the PLL, once that is asked for and has locked."""
    mask = (1 << place) - 1

    def status(own: int, read: Read) -> int:
        return pll << place if own & mask == pll and _field(read(cr), 25, 1) else 0

    return status


def _f4_core_hz(read: Read, board: Board) -> float:
    if _field(read(_F4_CFGR), 2, 2) != 2:
        return 16e6
    pll = read(_F4_PLL)
    source = board.clock.settings["external_hz"] if _field(pll, 22, 1) else 16e6
    return source / _field(pll, 0, 6) * _field(pll, 6, 9) / (2 * _field(pll, 16, 2) + 2)


def _f4_uart_hz(read: Read, board: Board) -> float:
    low = 13 if board.uart.base >= 0x4001_0000 else 10
    return _f4_core_hz(read, board) / _divided(_field(read(_F4_CFGR), low, 3), 3)


_F4_F7 = Family(
    ready={
        _F4_CR: lambda own, _: _ready(own, (16, 17), (24, 25)),
        _F4_CFGR: _switched(2, 2, _F4_CR),
        _F4_PWR_STATUS: lambda _, read: _ready(read(_F4_PWR), (16, 16), (17, 17)),
    },
    flags=(
        (_F4_CR, 1 << 17),
        (_F4_CR, 1 << 25),
        (_F4_CFGR, 3 << 2),
        (_F4_PWR_STATUS, 1 << 16),
        (_F4_PWR_STATUS, 1 << 17),
        (_F4_ACR, 0xF),
    ),
    core_hz=_f4_core_hz,
    uart_hz=_f4_uart_hz,
    wait_states=lambda read: read(_F4_ACR) & 0xF,
)

# STM32F1 (RM0008): RCC at 0x40021000.
_F1_CR, _F1_CFGR, _F1_ACR = 0x4002_1000, 0x4002_1004, 0x4002_2000


def _f1_core_hz(read: Read, board: Board) -> float:
    cfgr = read(_F1_CFGR)
    if _field(cfgr, 2, 2) != 2:
        return 8e6
    external = board.clock.settings["external_hz"] / (1 + _field(cfgr, 17, 1))
    return (external if _field(cfgr, 16, 1) else 4e6) * (_field(cfgr, 18, 4) + 2)


def _f1_uart_hz(read: Read, board: Board) -> float:
    low = 11 if board.uart.base >= 0x4001_0000 else 8
    return _f1_core_hz(read, board) / _divided(_field(read(_F1_CFGR), low, 3), 3)


_F1 = Family(
    ready={
        _F1_CR: lambda own, _: _ready(own, (16, 17), (24, 25)),
        _F1_CFGR: _switched(2, 2, _F1_CR),
    },
    flags=((_F1_CR, 1 << 17), (_F1_CR, 1 << 25), (_F1_CFGR, 3 << 2), (_F1_ACR, 7)),
    core_hz=_f1_core_hz,
    uart_hz=_f1_uart_hz,
    wait_states=lambda read: read(_F1_ACR) & 7,
)

# STM32H7 (RM0433): RCC at 0x58024400, PWR at 0x58024800.
_H7_CR, _H7_CFGR, _H7_D1, _H7_D2 = 0x5802_4400, 0x5802_4410, 0x5802_4418, 0x5802_441C
_H7_SELECT, _H7_PLL, _H7_DIVIDERS = 0x5802_4428, 0x5802_442C, 0x5802_4430
_H7_CSR1, _H7_CR3, _H7_D3CR, _H7_ACR = 0x5802_4804, 0x5802_480C, 0x5802_4818, 0x5200_2000


def _h7_core_hz(read: Read, board: Board) -> float:
    divider = _divided(_field(read(_H7_D1), 8, 4), 4)
    if _field(read(_H7_CFGR), 3, 3) != 3:
        return 64e6 / divider
    select, dividers = read(_H7_SELECT), read(_H7_DIVIDERS)
    source = {0: 64e6, 2: board.clock.settings["external_hz"]}[select & 3]
    reference = source / _field(select, 4, 6)
    assert 2e6 <= reference <= 4e6  # the range that PLL1RGE = 1 stands for
    assert _field(read(_H7_PLL), 2, 2) == 1
    assert _field(read(_H7_PLL), 16, 1) == 1
    return reference * (_field(dividers, 0, 9) + 1) / (_field(dividers, 9, 7) + 1) / divider


def _h7_uart_hz(read: Read, board: Board) -> float:
    ahb = _h7_core_hz(read, board) / _divided(_field(read(_H7_D1), 0, 4), 4)
    return ahb / _divided(_field(read(_H7_D2), 4, 3), 3)


_H7 = Family(
    ready={
        _H7_CR: lambda own, _: _ready(own, (16, 17), (24, 25)),
        _H7_CFGR: _switched(3, 3, _H7_CR),
        _H7_CSR1: lambda _, read: (read(_H7_CR3) & 7 == 2) << 13,
        _H7_D3CR: lambda own, read: (_field(own, 14, 2) == 3 and read(_H7_CR3) & 7 == 2) << 13,
    },
    flags=(
        (_H7_CR, 1 << 17),
        (_H7_CR, 1 << 25),
        (_H7_CFGR, 7 << 3),
        (_H7_CSR1, 1 << 13),
        (_H7_D3CR, 1 << 13),
    ),
    reset={_H7_CR3: 6, _H7_ACR: 0x37, _H7_SELECT: 0x0202_0200, _H7_PLL: 0x01FF_0000},
    core_hz=_h7_core_hz,
    uart_hz=_h7_uart_hz,
    wait_states=lambda read: read(_H7_ACR) & 0xF,
)

# STM32L4+ (RM0432) and G0 (RM0444): RCC at 0x40021000.
_L4_CR, _L4_CFGR, _L4_PLL, _L4_ACR = 0x4002_1000, 0x4002_1008, 0x4002_100C, 0x4002_2000
_L4_BOOST = 0x4000_7080


def _l4_core_hz(read: Read, _: Board) -> float:
    divider = _divided(_field(read(_L4_CFGR), 4, 4), 4)
    if _field(read(_L4_CFGR), 2, 2) != 3:
        return 4e6 / divider
    pll = read(_L4_PLL)
    assert pll & 3 == 2  # HSI16
    assert _field(pll, 24, 1) == 1
    assert _field(read(_L4_BOOST), 8, 1) == 0
    vco = 16e6 / (_field(pll, 4, 4) + 1) * _field(pll, 8, 7)
    return vco / (2 * _field(pll, 25, 2) + 2) / divider


def _l4_uart_hz(read: Read, board: Board) -> float:
    return _l4_core_hz(read, board) / _divided(_field(read(_L4_CFGR), 8, 3), 3)


_L4 = Family(
    ready={
        _L4_CR: lambda own, _: _ready(own, (8, 10), (24, 25)),
        _L4_CFGR: _switched(3, 2, _L4_CR),
    },
    flags=((_L4_CR, 1 << 10), (_L4_CR, 1 << 25), (_L4_CFGR, 3 << 2), (_L4_ACR, 0xF)),
    reset={_L4_CR: 0x63, _L4_PLL: 0x1000, _L4_BOOST: 1 << 8},
    core_hz=_l4_core_hz,
    uart_hz=_l4_uart_hz,
    wait_states=lambda read: read(_L4_ACR) & 0xF,
)


def _g0_core_hz(read: Read, _: Board) -> float:
    if _field(read(_L4_CFGR), 3, 3) != 2:
        return 16e6
    pll = read(_L4_PLL)
    assert pll & 3 == 2  # HSI16
    assert _field(pll, 28, 1) == 1
    vco = 16e6 / (_field(pll, 4, 3) + 1) * _field(pll, 8, 7)
    return vco / (_field(pll, 29, 3) + 1)


def _g0_uart_hz(read: Read, board: Board) -> float:
    return _g0_core_hz(read, board) / _divided(_field(read(_L4_CFGR), 12, 3), 3)


_G0 = Family(
    ready={
        _L4_CR: lambda own, _: _ready(own, (8, 10), (24, 25)),
        _L4_CFGR: _switched(2, 3, _L4_CR),
    },
    flags=((_L4_CR, 1 << 10), (_L4_CR, 1 << 25), (_L4_CFGR, 7 << 3), (_L4_ACR, 7)),
    reset={_L4_CR: 0x500, _L4_PLL: 0x1000, _L4_ACR: 0x4_0600},
    core_hz=_g0_core_hz,
    uart_hz=_g0_uart_hz,
    wait_states=lambda read: read(_L4_ACR) & 7,
)

# RP2040 (datasheet 2.14 to 2.18): resets, crystal, PLL, and the two switches without glitches.
_RP_RESET, _RP_DONE = 0x4000_C000, 0x4000_C008
_RP_XOSC, _RP_STABLE = 0x4002_4000, 0x4002_4004
_RP_CS, _RP_POWER, _RP_FEEDBACK, _RP_PRIM = (0x4002_8000 + 4 * n for n in range(4))
_RP_REF, _RP_REF_STATE, _RP_SYS, _RP_SYS_STATE = 0x4000_8030, 0x4000_8038, 0x4000_803C, 0x4000_8044
_RP_PERIPHERALS = 0x4000_8048


def _rp_core_hz(read: Read, board: Board) -> float:
    crystal = board.clock.settings["external_hz"]
    if read(_RP_SYS_STATE) != 2:
        return crystal if read(_RP_REF_STATE) == 4 else board.clock.fallback_hz
    prim = read(_RP_PRIM)
    assert _field(read(_RP_SYS), 5, 3) == 0  # PLL_SYS
    assert _field(read(_RP_POWER), 3, 1) == 0
    return crystal * read(_RP_FEEDBACK) / _field(prim, 16, 3) / _field(prim, 12, 3)


def _rp_uart_hz(read: Read, board: Board) -> float:
    assert read(_RP_PERIPHERALS) == 1 << 11
    assert _field(read(_RP_RESET), 22, 1) == 0
    return _rp_core_hz(read, board)


_RP2040 = Family(
    ready={
        _RP_DONE: lambda _, read: ~read(_RP_RESET) & 0x1FF_FFFF,
        _RP_STABLE: lambda _, read: (_field(read(_RP_XOSC), 12, 12) == 0xFAB) << 31,
        _RP_CS: lambda _, read: (
            (_field(read(_RP_DONE), 12, 1) and not read(_RP_POWER) & 0x21) << 31
        ),
        _RP_REF_STATE: lambda _, read: 1 << (read(_RP_REF) & 3),
        _RP_SYS_STATE: lambda _, read: 1 << (read(_RP_SYS) & 1),
    },
    flags=(
        (_RP_DONE, 1 << 12),
        (_RP_STABLE, 1 << 31),
        (_RP_CS, 1 << 31),
        (_RP_REF_STATE, 4),
        (_RP_SYS_STATE, 2),
    ),
    reset={_RP_RESET: 0x1FF_FFFF, _RP_POWER: 0x2D, _RP_PRIM: 0x7_7000, _RP_CS: 1},
    core_hz=_rp_core_hz,
    uart_hz=_rp_uart_hz,
    wait_states=lambda _: None,
)

# nRF51 and nRF52: one frequency, whichever oscillator gives it.
_NRF_START, _NRF_STARTED = 0x4000_0000, 0x4000_0100

_NRF5 = Family(
    ready={_NRF_STARTED: lambda _, read: read(_NRF_START)},
    flags=((_NRF_STARTED, 1),),
    core_hz=lambda _, board: board.clock.hz,
    uart_hz=lambda _, board: board.clock.hz,
    wait_states=lambda _: None,
)

FAMILIES: Mapping[str, Family] = {
    "stm32f1": _F1,
    "stm32f4_f7": _F4_F7,
    "stm32g0": _G0,
    "stm32h7": _H7,
    "stm32l4": _L4,
    "rp2040": _RP2040,
    "nrf5": _NRF5,
}
