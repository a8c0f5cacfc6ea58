"""The kinds of panels that the dashboard is made of, by Grafana's own builders."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias, TypeVar

from grafana_foundation_sdk.builders import (
    common,
    heatmap,
    prometheus,
    stat,
    statetimeline,
    table,
    timeseries,
)
from grafana_foundation_sdk.builders.dashboard import ThresholdsConfig
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueGraphMode,
    BigValueTextMode,
    DataSourceRef,
    LegendDisplayMode,
    LegendPlacement,
    SortOrder,
    StackingMode,
    TooltipDisplayMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DataTransformerConfig,
    DynamicConfigValue,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMapping,
    ValueMappingResult,
)
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from deploy.grafana import promql

Panel: TypeAlias = stat.Panel | timeseries.Panel | heatmap.Panel | statetimeline.Panel | table.Panel
AnyPanel = TypeVar("AnyPanel", stat.Panel, timeseries.Panel, heatmap.Panel, statetimeline.Panel, table.Panel)
Queries = Mapping[str, str]  # expressions by legend
Steps = Sequence[tuple[float | None, str]]  # colours from each value on; None is the lowest

DATASOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
PLAIN: Steps = [(None, "text")]
HIGH_IS_GOOD: Steps = [(None, "red"), (0.95, "orange"), (0.99, "green")]


def numbers(
    title: str,
    about: str,
    queries: Queries,
    *,
    width: int,
    unit: str = "percentunit",
    decimals: int = 1,
    steps: Steps = PLAIN,
) -> stat.Panel:
    """Numbers as they are now; where there are several, each says which it is."""
    reduced = common.ReduceDataOptions().calcs(["lastNotNull"]).values(values=False)
    panel = _placed(stat.Panel(), title, about, width, height=5).unit(unit).decimals(decimals)
    several = len(queries) > 1
    return (
        panel.targets(_instant(queries))
        .no_value("none yet")
        .thresholds(_thresholds(steps))
        .reduce_options(reduced)
        .color_mode(BigValueColorMode.VALUE)
        .graph_mode(BigValueGraphMode.NONE)
        .text_mode(BigValueTextMode.VALUE_AND_NAME if several else BigValueTextMode.VALUE)
    )


def lines(
    title: str,
    about: str,
    queries: Queries,
    *,
    width: int = 8,
    unit: str = "short",
    stack: StackingMode = StackingMode.NONE,
) -> timeseries.Panel:
    """Curves over time; `stack` piles them up, or shows them as parts of the whole."""
    stacked = stack is not StackingMode.NONE
    shown = common.VizLegendOptions().display_mode(LegendDisplayMode.LIST).show_legend(show_legend=True)
    pointed = common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING)
    panel = (
        _placed(timeseries.Panel(), title, about, width, height=8)
        .targets(_curves(queries))
        .unit(unit)
        .min(0)
        .stacking(common.StackingConfig().mode(stack))
        .fill_opacity(60 if stacked else 0)
        .legend(shown.placement(LegendPlacement.BOTTOM))
        .tooltip(pointed)
    )
    if unit != "percentunit":
        return panel
    # Pairs are rare: a curve goes on over ten minutes, in ms.
    return panel.max(1).span_nulls(span_nulls=600_000)


def rates_by(
    by: str,
    title: str,
    about: str,
    metric: str,
    *matchers: str,
    unit: str = "ops",
    stack: StackingMode = StackingMode.NORMAL,
    width: int = 8,
) -> timeseries.Panel:
    """A counter's rate, stacked by the values of one or more labels."""
    queries = {promql.legend(by): promql.rate(metric, *matchers, by=by)}
    return lines(title, about, queries, width=width, unit=unit, stack=stack)


def quantiles(histogram: str, *matchers: str, by: str = "", at: Sequence[float] = (0.5, 0.99)) -> Queries:
    """Several quantiles of one histogram, each labelled p50 and so on."""
    return {
        f"p{100 * q:.0f} {promql.legend(by)}".strip(): promql.quantile(q, histogram, *matchers, by=by)
        for q in at
    }


def buckets(
    title: str, about: str, histogram: str, *matchers: str, unit: str = "short", width: int = 8
) -> heatmap.Panel:
    """A histogram's buckets over time: the darker, the more."""
    query = (
        _query(promql.increase(f"{histogram}_bucket", *matchers, by="le"), "{{le}}", 0)
        .range()
        .format(PromQueryFormat.HEATMAP)
    )
    colours = heatmap.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).scheme("Blues").steps(32)
    return (
        _placed(heatmap.Panel(), title, about, width, height=8)
        .with_target(query)
        .calculate(calculate=False)
        .color(colours)
        .y_axis(heatmap.YAxisConfig().unit(unit))
    )


def states(
    title: str, about: str, queries: Queries, names: Mapping[int, tuple[str, str]], *, width: int = 8
) -> statetimeline.Panel:
    """A band for each thing over time, coloured by state; `names` maps values to text and colour."""
    results = {
        str(value): ValueMappingResult(text=text, color=color) for value, (text, color) in names.items()
    }
    mappings: list[ValueMapping] = [ValueMap(options=results)]
    panel = _placed(statetimeline.Panel(), title, about, width, height=8)
    return panel.targets(_curves(queries)).mappings(mappings)


def listing(
    title: str, about: str, by: str, columns: Queries, units: Mapping[str, str], *, width: int
) -> table.Panel:
    """A table as of now: a row for each combination of labels, a column for each query."""
    panel = _placed(table.Panel(), title, about, width, height=8).no_value("none yet")
    for at, (name, expr) in enumerate(columns.items()):
        panel.with_target(_query(expr, name, at).instant().format(PromQueryFormat.TABLE))
        unit = DynamicConfigValue(id_val="unit", value=units.get(name, "short"))
        panel.override_by_name(name, [unit])
    places = {name: place for place, name in enumerate([*by.split(", "), *map(_value, range(len(columns)))])}
    renamed = {_value(at): name for at, name in enumerate(columns)}
    panel.with_transformation(DataTransformerConfig(id_val="merge", options={}))
    return panel.with_transformation(
        DataTransformerConfig(
            id_val="organize",
            options={"excludeByName": {"Time": True}, "indexByName": places, "renameByName": renamed},
        )
    )


def _placed(panel: AnyPanel, title: str, about: str, width: int, height: int) -> AnyPanel:
    """What all panels have in common; sizes are in units of Grafana's grid, 24 wide."""
    return panel.title(title).description(about).datasource(DATASOURCE).span(width).height(height)


def _thresholds(steps: Steps) -> ThresholdsConfig:
    colours = [Threshold(value=value, color=color) for value, color in steps]
    return ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(colours)


def _query(expr: str, legend: str, at: int) -> prometheus.Dataquery:
    return prometheus.Dataquery().ref_id(_letter(at)).expr(expr).legend_format(legend).datasource(DATASOURCE)


def _curves(queries: Queries) -> list[Builder[Dataquery]]:
    return [_query(expr, legend, at).range() for at, (legend, expr) in enumerate(queries.items())]


def _instant(queries: Queries) -> list[Builder[Dataquery]]:
    return [_query(expr, legend, at).instant() for at, (legend, expr) in enumerate(queries.items())]


def _letter(at: int) -> str:
    return chr(ord("A") + at)


def _value(at: int) -> str:
    """How Grafana calls the column of a query."""
    return f"Value #{_letter(at)}"
