// What a field's settings come to: the standard ones and those of each kind of panel, with the
// values that Grafana's own panels start from. The plugins themselves are not published.

import {
    FieldConfigOptionsRegistry,
    FieldConfigSource,
    FieldColorModeId,
    FieldType,
    ThresholdsMode,
} from '@grafana/data';

type Values = Record<string, unknown>;

const HIDE_FROM = { legend: false, tooltip: false, viz: false };

const CUSTOM: Record<string, Values> = {
    timeseries: {
        drawStyle: 'line',
        lineInterpolation: 'linear',
        lineWidth: 1,
        fillOpacity: 0,
        gradientMode: 'none',
        lineStyle: { fill: 'solid' },
        showPoints: 'auto',
        pointSize: 5,
        spanNulls: false,
        barAlignment: 0,
        barWidthFactor: 0.6,
        stacking: { mode: 'none', group: 'A' },
        axisPlacement: 'auto',
        axisLabel: '',
        axisColorMode: 'text',
        axisBorderShow: false,
        axisCenteredZero: false,
        scaleDistribution: { type: 'linear' },
        thresholdsStyle: { mode: 'off' },
        hideFrom: HIDE_FROM,
    },
    table: {
        align: 'auto',
        cellOptions: { type: 'auto' },
        inspect: false,
        width: undefined,
        hideFrom: HIDE_FROM,
    },
    piechart: { hideFrom: HIDE_FROM },
    heatmap: { hideFrom: HIDE_FROM, scaleDistribution: { type: 'linear' } },
    'state-timeline': { lineWidth: 0, fillOpacity: 70, hideFrom: HIDE_FROM },
};

const STANDARD = [
    'unit',
    'min',
    'max',
    'decimals',
    'displayName',
    'noValue',
    'links',
    'filterable',
    'mappings',
    'thresholds',
    'color',
];

const GREEN_UP_TO_80 = {
    mode: ThresholdsMode.Absolute,
    steps: [
        { value: -Infinity, color: 'green' },
        { value: 80, color: 'red' },
    ],
};

const COLOUR: Record<string, FieldColorModeId> = {
    timeseries: FieldColorModeId.PaletteClassic,
    piechart: FieldColorModeId.PaletteClassic,
    'state-timeline': FieldColorModeId.ContinuousGrYlRd,
};

// A panel's settings over the values that Grafana's own start from.
export function withDefaults(panel: any): FieldConfigSource {
    const { defaults = {}, overrides = [] } = panel.fieldConfig ?? {};
    return {
        defaults: {
            mappings: [],
            thresholds: GREEN_UP_TO_80,
            color: { mode: COLOUR[panel.type] ?? FieldColorModeId.Thresholds },
            ...defaults,
            custom: { ...CUSTOM[panel.type], ...defaults.custom },
        },
        overrides,
    };
}

export function registryOf(type: string): FieldConfigOptionsRegistry {
    const item = (id: string, isCustom = false): any => ({
        id: isCustom ? `custom.${id}` : id,
        path: id,
        name: id,
        isCustom,
        process: (value: unknown) => value,
        shouldApply: (field: { type: FieldType }) =>
            id !== 'color' || field.type !== FieldType.time,
    });
    return new FieldConfigOptionsRegistry(() => [
        ...STANDARD.map((id) => item(id)),
        ...Object.keys(CUSTOM[type] ?? {}).map((id) => item(id, true)),
    ]);
}

// Every setting of a panel that the registry does not know: Grafana drops it without a word.
export function unknownSettings(panel: any): string[] {
    const registry = registryOf(panel.type);
    const { custom = {}, ...defaults } = panel.fieldConfig?.defaults ?? {};
    const ids = [
        ...Object.keys(defaults),
        ...Object.keys(custom).map((id) => `custom.${id}`),
        ...(panel.fieldConfig?.overrides ?? []).flatMap((rule: any) =>
            rule.properties.map((p: any) => p.id)
        ),
    ];
    return ids.filter((id) => !registry.getIfExists(id));
}
