// Each kind of panel, drawn by the components that Grafana publishes. The ring, the timeline and the
// heat map have none: they are drawn here, in Grafana's colours and legends.

import {
    DataFrame,
    FieldType,
    TimeRange,
    applyFieldOverrides,
  cacheFieldDisplayNames,
    colorManipulator,
    dateTimeFormat,
    formattedValueToString,
    getDisplayValueAlignmentFactors,
    getFieldDisplayName,
    getFieldDisplayValues,
    renderTextPanelMarkdown,
    transformDataFrame,
} from '@grafana/data';
import { LegendDisplayMode } from '@grafana/schema';
import { BigValue, TimeSeries, VizLayout, VizLegend, VizRepeater, useTheme2 } from '@grafana/ui';
import { TableNG } from '@grafana/ui/unstable';
import { useEffect, useRef, useState } from 'react';

import { registryOf, withDefaults } from './fields';

export interface Drawn {
    panel: any;
    frames: DataFrame[];
    timeRange: TimeRange;
    timeZone: string;
    width: number;
    height: number;
}

const asItIs = (text: string) => text;

function useFrames({ panel, frames, timeZone }: Drawn): DataFrame[] {
    const theme = useTheme2();
    const [transformed, setTransformed] = useState<DataFrame[]>();
    useEffect(() => {
        const subscription = transformDataFrame(panel.transformations ?? [], frames).subscribe(
            setTransformed
        );
        return () => subscription.unsubscribe();
    }, [panel, frames]);
    const [drawn, setDrawn] = useState<DataFrame[]>();
    useEffect(() => {
        if (transformed) {
            setDrawn(
                applyFieldOverrides({
                    data: transformed,
                    fieldConfig: withDefaults(panel),
                    fieldConfigRegistry: registryOf(panel.type),
                    replaceVariables: asItIs,
                    theme,
                    timeZone,
                })
            );
        }
    }, [transformed, panel, theme, timeZone]);
    return drawn as DataFrame[];
}

function NoData({ panel }: Drawn) {
    return <div className="nothing">{panel.fieldConfig?.defaults?.noValue ?? 'No data'}</div>;
}

function figuresOf(drawn: Drawn, data: DataFrame[], theme: any) {
    const { panel, timeZone } = drawn;
    return getFieldDisplayValues({
        fieldConfig: withDefaults(panel),
        reduceOptions: { calcs: ['lastNotNull'], values: false, ...panel.options?.reduceOptions },
        replaceVariables: asItIs,
        theme,
        data,
        timeZone,
    });
}

function Stat(drawn: Drawn) {
    const theme = useTheme2();
    const data = useFrames(drawn);
    const { options } = drawn.panel;
    if (!data) {
        return null;
    }
    return (
        <VizRepeater
            getValues={() => figuresOf(drawn, data, theme)}
            getAlignmentFactors={getDisplayValueAlignmentFactors}
            renderValue={({ value, count, width, height, alignmentFactors }: any) => (
                <div
                    data-figure={formattedValueToString(value.display)}
                    data-name={value.display.title ?? ''}
                    data-colour={colourName(theme, value.display.color)}
                >
                    <BigValue
                        value={value.display}
                        count={count}
                        width={width}
                        height={height}
                        colorMode={options.colorMode}
                        graphMode={options.graphMode}
                        justifyMode={options.justifyMode}
                        textMode={options.textMode}
                        text={options.text}
                        disableWideLayout={!options.wideLayout}
                        alignmentFactors={alignmentFactors}
                        theme={theme}
                    />
                </div>
            )}
            source={data}
            renderCounter={0}
            width={drawn.width}
            height={drawn.height}
            orientation={options.orientation}
            autoGrid
            itemSpacing={3}
        />
    );
}

function colourName(theme: any, colour?: string): string {
    const names = ['green', 'yellow', 'red', 'orange', 'blue', 'purple', 'text'];
    const named = (name: string) =>
        colorManipulator.asHexString(theme.visualization.getColorByName(name));
    return (
        names.find((name) => colour && named(name) === colorManipulator.asHexString(colour)) ??
        colour ??
        ''
    );
}

// Grafana's panel leaves out what is no number: the scale of an axis cannot begin with it.
function finite(frame: DataFrame): DataFrame {
    const fields = frame.fields.map((field) =>
        field.type === FieldType.number
            ? { ...field, values: field.values.map((v) => (Number.isFinite(v) ? v : null)) }
            : field,
    );
    return { ...frame, fields };
}

function Series(drawn: Drawn) {
    const data = useFrames(drawn);
    const { panel, timeRange, timeZone, width, height } = drawn;
    if (!data) {
        return null;
    }
    if (
        !data.some((frame) => frame.length && frame.fields.some((f) => f.type === FieldType.number))
    ) {
        return <NoData {...drawn} />;
    }
    return (
        <TimeSeries
            frames={data.map(finite)}
            timeRange={timeRange}
            timeZone={timeZone}
            width={width}
            height={height}
            legend={panel.options.legend}
            options={panel.options}
        />
    );
}

function Table(drawn: Drawn) {
    const data = useFrames(drawn);
    const { panel, timeRange, width, height } = drawn;
    if (!data) {
        return null;
    }
    if (!data.length || !data[0].fields.length) {
        return <NoData {...drawn} />;
    }
    cacheFieldDisplayNames(data); // the heads
  return (
        <TableNG
            data={data[0]}
            width={width}
            height={height}
            noHeader={panel.options?.showHeader === false}
            sortBy={panel.options?.sortBy}
            cellHeight={panel.options?.cellHeight}
            timeRange={timeRange}
            fieldConfig={panel.fieldConfig}
            noValue={panel.fieldConfig?.defaults?.noValue}
            structureRev={1}
            disableSanitizeHtml={false}
        />
    );
}

function Ring(drawn: Drawn) {
    const theme = useTheme2();
    const data = useFrames(drawn);
    const { panel, width, height } = drawn;
    if (!data) {
        return null;
    }
    const shown = figuresOf(drawn, data, theme).filter((v) => Number.isFinite(v.display.numeric));
    const total = shown.reduce((sum, v) => sum + v.display.numeric, 0);
    if (!total) {
        return <NoData {...drawn} />;
    }
    const { legend } = panel.options;
    const percent = (v: any) => `${Math.round((v.display.numeric / total) * 100)}%`;
    const items = shown.map((v) => ({
        label: v.display.title ?? '',
        color: v.display.color,
        yAxis: 1,
        getDisplayValues: () =>
            (legend.values ?? []).map((name: string) =>
                name === 'percent'
                    ? { numeric: v.display.numeric / total, text: percent(v), title: 'Percent' }
                    : { ...v.display, title: 'Value' }
            ),
    }));
    const list = (
        <VizLayout.Legend placement={legend.placement}>
            <VizLegend
                items={items}
                placement={legend.placement}
                displayMode={legend.displayMode}
            />
        </VizLayout.Legend>
    );
    return (
        <VizLayout width={width} height={height} legend={legend.showLegend ? list : null}>
            {(vizWidth: number, vizHeight: number) => {
                const radius = Math.min(vizWidth, vizHeight) / 2;
                const hole = panel.options.pieType === 'donut' ? radius / 1.6 : 0;
                let before = 0;
                const pieces = shown.map((v) => {
                    const from = before / total;
                    before += v.display.numeric;
                    return (
                        <path
                            key={from}
                            fill={v.display.color}
                            stroke={theme.colors.background.primary}
                            d={piece(radius, hole, from, before / total)}
                        />
                    );
                });
                return (
                    <svg
                        width={vizWidth}
                        height={vizHeight}
                        viewBox={`${-vizWidth / 2} ${-vizHeight / 2} ${vizWidth} ${vizHeight}`}
                    >
                        {pieces}
                    </svg>
                );
            }}
        </VizLayout>
    );
}

function piece(radius: number, hole: number, from: number, to: number): string {
    const end = Math.min(to, from + 0.9999); // an arc from a point to itself is none
    const at = (r: number, share: number) => {
        const angle = 2 * Math.PI * share;
        return `${r * Math.sin(angle)} ${-r * Math.cos(angle)}`;
    };
    const large = end - from > 0.5 ? 1 : 0;
    return (
        `M${at(radius, from)} A${radius} ${radius} 0 ${large} 1 ${at(radius, end)} ` +
        `L${at(hole, end)} A${hole} ${hole} 0 ${large} 0 ${at(hole, from)} Z`
    );
}

interface Row {
    name: string;
    cells: Array<{ from: number; to: number; colour: string; text: string }>;
}

const AXIS = 20;

// Rows of coloured cells over the time that the board shows.
function Rows({ drawn, rows, labels }: { drawn: Drawn; rows: Row[]; labels: string[] }) {
    const theme = useTheme2();
    const { timeRange, timeZone, width, height } = drawn;
    const from = timeRange.from.valueOf();
    const to = timeRange.to.valueOf();
    const canvas = useRef<HTMLCanvasElement>(null);
    const font = `12px ${theme.typography.fontFamily}`;
    useEffect(() => {
        const context = canvas.current!.getContext('2d')!;
        context.font = font;
        const left = Math.min(
            width / 2,
            Math.max(...labels.map((text) => context.measureText(text).width)) + 12
        );
        const x = (time: number) =>
            left + (Math.min(Math.max(time, from), to) - from) * ((width - left) / (to - from));
        const step = (height - AXIS) / rows.length;
        rows.forEach((row, index) => {
            for (const cell of row.cells) {
                context.fillStyle = cell.colour;
                context.fillRect(
                    x(cell.from),
                    index * step + 1,
                    Math.max(x(cell.to) - x(cell.from) - 1, 1),
                    step - 2
                );
            }
        });
        context.fillStyle = theme.colors.text.primary;
        context.textBaseline = 'middle';
        labels.forEach((text, index) =>
            context.fillText(text, 0, ((index + 0.5) * (height - AXIS)) / labels.length)
        );
        for (let share = 0.05; share < 0.9; share += 0.2) {
            const time = from + share * (to - from);
            context.fillText(
                dateTimeFormat(time, { timeZone, format: 'HH:mm' }),
                x(time),
                height - AXIS / 2
            );
        }
    }, [rows, labels, width, height]);
    return <canvas ref={canvas} width={width} height={height} />;
}

function Timeline(drawn: Drawn) {
    const data = useFrames(drawn);
    const { width, height, timeRange } = drawn;
    if (!data) {
        return null;
    }
    const merged = (cells: Row['cells']) =>
        cells.reduce<Row['cells']>((before, cell) => {
            const last = before.at(-1);
            if (last && last.text === cell.text && last.to === cell.from) {
                last.to = cell.to;
                return before;
            }
            return [...before, cell];
        }, []);
    const rows: Row[] = data.flatMap((frame) => {
        const times = frame.fields.find((field) => field.type === FieldType.time)?.values ?? [];
        return frame.fields
            .filter((field) => field.type !== FieldType.time)
            .map((field) => ({
                name: getFieldDisplayName(field, frame, data),
                cells: merged(
                    times.map((from: number, index: number) => {
                        const shown = field.display!(field.values[index]);
                        const to = times[index + 1] ?? timeRange.to.valueOf();
                        return {
                            from,
                            to,
                            colour: shown.color ?? '',
                            text: formattedValueToString(shown),
                        };
                    })
                ),
            }));
    });
    if (!rows.some((row) => row.cells.length)) {
        return <NoData {...drawn} />;
    }
    const states = new Map(
        rows.flatMap((row) => row.cells.map((cell) => [cell.text, cell.colour]))
    );
    const items = [...states].map(([label, color]) => ({ label, color, yAxis: 1 }));
    const list = (
        <VizLayout.Legend placement="bottom">
            <VizLegend items={items} placement="bottom" displayMode={LegendDisplayMode.List} />
        </VizLayout.Legend>
    );
    return (
        <VizLayout width={width} height={height} legend={list}>
            {(vizWidth: number, vizHeight: number) => (
                <Rows
                    drawn={{ ...drawn, width: vizWidth, height: vizHeight }}
                    rows={rows}
                    labels={rows.map((row) => row.name)}
                />
            )}
        </VizLayout>
    );
}

// A few of the schemes' colours, from light to dark: the theme is dark, so the dark end is 0.
const SCHEMES: Record<string, number[][]> = {
    Oranges: [
        [127, 39, 4],
        [217, 72, 1],
        [241, 105, 19],
        [253, 174, 107],
        [254, 230, 206],
    ],
};

// The colours of a heat map: as many as its options say.
function palette({ scheme, steps }: { scheme: string; steps: number }): string[] {
    const ends = SCHEMES[scheme];
    if (!ends || !(steps >= 2)) {
        throw new Error(`a heat map in ${steps} colours of the scheme "${scheme}" shows nothing`);
    }
    return Array.from({ length: steps }, (_, step) => {
        const at = (step / (steps - 1)) * (ends.length - 1);
        const low = Math.min(Math.floor(at), ends.length - 2);
        const mixed = ends[low].map((value, i) =>
            Math.round(value + (ends[low + 1][i] - value) * (at - low))
        );
        return `rgb(${mixed.join(' ')})`;
    });
}

function Heat(drawn: Drawn) {
    const data = useFrames(drawn);
    const { panel, timeRange } = drawn;
    if (!data) {
        return null;
    }
    const { color, filterValues } = panel.options;
    const colours = palette(color);
    const times = data[0]?.fields.find((field) => field.type === FieldType.time)?.values ?? [];
    const buckets = data[0]?.fields.filter((field) => field.type === FieldType.number) ?? [];
    const most = Math.max(0, ...buckets.flatMap((field) => field.values as number[]));
    if (!most) {
        return <NoData {...drawn} />;
    }
    const rows: Row[] = buckets.map((field) => ({
        name: field.name,
        cells: times.flatMap((from: number, index: number) => {
            const value = field.values[index];
            if (!(value > (filterValues?.le ?? -Infinity))) {
                return [];
            }
            const step = Math.round((value / most) ** color.exponent * (colours.length - 1));
            const to = times[index + 1] ?? timeRange.to.valueOf();
            return [{ from, to, colour: colours[step], text: String(value) }];
        }),
    }));
    rows.reverse();
    const label = (field: any) =>
        Number.isFinite(Number(field.name))
            ? formattedValueToString(field.display(Number(field.name)))
            : field.name;
    return <Rows drawn={drawn} rows={rows} labels={buckets.map(label).reverse()} />;
}

function Words({ panel }: Drawn) {
    const html = renderTextPanelMarkdown(panel.options.content);
    return <div className="markdown-html words" dangerouslySetInnerHTML={{ __html: html }} />;
}

export const KINDS: Record<string, (drawn: Drawn) => any> = {
    stat: Stat,
    timeseries: Series,
    table: Table,
    piechart: Ring,
    'state-timeline': Timeline,
    heatmap: Heat,
    text: Words,
};
