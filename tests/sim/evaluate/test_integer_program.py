"""The integer program against all combinations: terms of several places, products, limits that are just met."""

from __future__ import annotations

import itertools
import os
import random
from typing import Any

import pytest
import scipy.optimize

from sim.evaluate.integer_program import InfeasibleError, Problem, Product, Term, brute_force, keeps, solve

optimize: Any = scipy.optimize

PRODUCTS = {"edp": Product("cycles", "energy")}


def random_problem(rng: random.Random, places: int, joint: int) -> Problem:
    """Terms of one place each, and some of two or three; energy follows cycles, but not exactly."""
    options = tuple(rng.randint(1, 3) for _ in range(places))
    scopes = [(place,) for place in range(places)]
    scopes += [tuple(rng.sample(range(places), rng.randint(2, 3))) for _ in range(joint)]
    terms: list[Term] = []
    for scope in scopes:
        values: dict[tuple[int, ...], dict[str, float]] = {}
        for combination in itertools.product(*(range(options[place]) for place in scope)):
            cycles = rng.randint(1, 1_000_000)
            values[combination] = {"cycles": cycles, "energy": cycles * rng.uniform(0.5, 2.0)}
            if len(scope) == 1:
                values[combination]["sensitivity"] = rng.choice([0.0, rng.random(), 1000 * rng.random()])
        terms.append(Term(scope, values))
    return Problem(options, tuple(terms), PRODUCTS)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("minimise", ["sensitivity", "cycles", "energy", "edp"])
def test_equals_all_combinations(seed: int, minimise: str) -> None:
    rng = random.Random(seed)
    problem = random_problem(rng, places=6, joint=3)
    for limited in ("sensitivity", "cycles", "energy", "edp"):
        some = [rng.randrange(count) for count in problem.options]
        limits = {} if limited == minimise else {limited: problem.value(limited, some)}
        wanted = problem.value(minimise, brute_force(problem, minimise, limits))
        found = solve(problem, minimise, limits)
        assert keeps(problem, found, limits)
        assert problem.value(minimise, found) == pytest.approx(wanted, rel=1e-9), limits


@pytest.mark.parametrize("seed", range(6))
def test_several_limits(seed: int) -> None:
    rng = random.Random(100 + seed)
    problem = random_problem(rng, places=5, joint=2)
    some = [rng.randrange(count) for count in problem.options]
    limits = {name: 1.01 * problem.value(name, some) for name in ("cycles", "energy", "edp")}
    wanted = problem.value("sensitivity", brute_force(problem, "sensitivity", limits))
    found = solve(problem, "sensitivity", limits)
    assert keeps(problem, found, limits)
    assert problem.value("sensitivity", found) == pytest.approx(wanted, rel=1e-9)


def test_infeasible() -> None:
    problem = random_problem(random.Random(1), places=4, joint=1)
    for name in ("cycles", "edp"):
        least = problem.value(name, brute_force(problem, name, {}))
        assert problem.value(name, solve(problem, "sensitivity", {name: least})) == pytest.approx(least, rel=1e-9)
        for function in (solve, brute_force):
            with pytest.raises(InfeasibleError):
                function(problem, "sensitivity", {name: 0.999 * least})


def test_a_quantity_that_is_always_zero() -> None:
    problem = Problem((2, 2), (Term((0,), {(0,): {"cycles": 1}, (1,): {"cycles": 2}}),), PRODUCTS)
    assert problem.value("cycles", solve(problem, "sensitivity", {"cycles": 1})) == 1


def test_nothing_is_printed(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even what the solver itself writes; and standard output works again afterwards."""
    original = optimize.milp

    def loud(*arguments: Any, **options: Any) -> Any:
        os.write(1, b"HighsMipSolverData\n")
        return original(*arguments, **options)

    monkeypatch.setattr(optimize, "milp", loud)
    print("before")
    solve(random_problem(random.Random(1), places=3, joint=1), "edp", {})
    print("after")
    assert capfd.readouterr().out == "before\nafter\n"
